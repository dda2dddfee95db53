// Sealed zygotes: that serving does not unseal them, and that they share what they have in common.

#include <poll.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "tests/zygote/seal_fixture.h"

namespace sock::zygote {
namespace {

constexpr int kClones = 10'000;

struct Memory {
  std::size_t sealed = 0;          ///< mappings of an image
  std::vector<std::string> dirty;  ///< of them with pages that were written since
};

Memory memory_of(const Zygote& zygote) {
  Memory memory;
  std::ifstream smaps("/proc/" + std::to_string(zygote.process().pid()) + "/smaps");
  std::string mapping;
  for (std::string line; std::getline(smaps, line);) {
    const bool field = line.find(": ") < line.find(' ') + 1;
    if (!field) {
      mapping = line;
      memory.sealed += line.find("/memfd:sock-zygote") != std::string::npos ? 1U : 0U;
    } else if (line.starts_with("Anonymous:") && line.find(" 0 kB") == std::string::npos &&
               mapping.find("/memfd:sock-zygote") != std::string::npos) {
      memory.dirty.push_back(mapping + " " + line);
    }
  }
  return memory;
}

TEST_F(SealTest, TenThousandClonesLeaveNoPageOfTheirZygoteWritten) {
  auto zygote = start();
  ASSERT_TRUE(zygote) << zygote.error().describe();
  ASSERT_TRUE((*zygote)->sealing().sealed) << (*zygote)->sealing().error;
  EXPECT_GT((*zygote)->sealing().bytes, 1U << 20);
  const auto shell = this->shell();
  for (int i = 0; i < kClones; ++i) {
    auto clone = least_clone(**zygote, shell);
    ASSERT_TRUE(clone) << "clone " << i << ": " << clone.error().describe();
  }
  (void)parked_clone(**zygote, shell);
  const Memory memory = memory_of(**zygote);
  EXPECT_GT(memory.sealed, 10U);
  EXPECT_TRUE(memory.dirty.empty()) << testing::PrintToString(memory.dirty);
}

TEST_F(SealTest, AFailedCloneLeavesNoPageWrittenEither) {
  auto zygote = start();
  ASSERT_TRUE(zygote && (*zygote)->sealing().sealed);
  CloneArguments arguments;
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  // Not a process: setns fails, and errno is written.
  arguments.shell = arguments.connection = arguments.log = null.get();
  EXPECT_FALSE(run((*zygote)->clone(arguments)));
  const Memory memory = memory_of(**zygote);
  EXPECT_GT(memory.sealed, 10U);
  EXPECT_TRUE(memory.dirty.empty()) << testing::PrintToString(memory.dirty);
}

TEST_F(SealTest, ChildZygotesAreSealedAndOutliveTheirParents) {
  write_module("parent_data", "value = [bytes([i % 251]) * 4096 for i in range(2000)]\n");
  write_module("child_data", "value = [bytes([i % 251]) * 4096 for i in range(100)]\n");
  auto root = start();
  ASSERT_TRUE(root) << root.error().describe();
  auto parent = fork_child(**root, {"parent_data"});
  ASSERT_TRUE(parent) << parent.error().describe();
  auto child = fork_child(**parent, {"child_data"});
  ASSERT_TRUE(child) << child.error().describe();
  ASSERT_TRUE((*child)->sealing().sealed) << (*child)->sealing().error;
  EXPECT_GT((*parent)->sealing().bytes, 8U << 20);
  // The parent's 8 MB are not copied again.
  EXPECT_LT((*child)->sealing().bytes + (4U << 20), (*parent)->sealing().bytes);
  parent->reset();
  root->reset();
  const auto shell = this->shell();
  (void)parked_clone(**child, shell);
  const Memory memory = memory_of(**child);
  EXPECT_TRUE(memory.dirty.empty()) << testing::PrintToString(memory.dirty);
  // A parent that is not sealed can have a sealed child.
  auto plain = start({"parent_data"}, false);
  ASSERT_TRUE(plain && !(*plain)->sealing().sealed);
  auto sealed = fork_child(**plain, {"child_data"});
  ASSERT_TRUE(sealed) << sealed.error().describe();
  EXPECT_TRUE((*sealed)->sealing().sealed) << (*sealed)->sealing().error;
}

TEST_F(SealTest, WhatCannotBeSealedServesUnsealedAndSaysWhy) {
  write_module("locks",
               "import ctypes\n"
               "kept = ctypes.create_string_buffer(65536)\n"
               "assert ctypes.CDLL(None).mlock(ctypes.byref(kept), 65536) == 0\n");
  auto zygote = start({"locks"});
  ASSERT_TRUE(zygote) << zygote.error().describe();
  EXPECT_FALSE((*zygote)->sealing().sealed);
  EXPECT_NE((*zygote)->sealing().error.find("unusual flags"), std::string::npos)
      << (*zygote)->sealing().error;
  const auto shell = this->shell();
  (void)parked_clone(**zygote, shell);
}

TEST_F(SealTest, AZygoteWhoseTrialCloneFailsIsNotServedFrom) {
  // The trial clone runs the hook; an unsealed zygote makes none.
  write_module("leaves", "import os\nos.register_at_fork(after_in_child=lambda: os._exit(3))\n");
  auto zygote = start({"leaves"});
  ASSERT_FALSE(zygote);
  EXPECT_TRUE(may_do_unsealed(zygote.error())) << zygote.error().describe();
  EXPECT_TRUE(start({"leaves"}, false));
}

TEST_F(SealTest, TenZygotesOfOneTreeShareMemory) {
  if (!std::filesystem::exists(kPackages)) GTEST_SKIP() << kPackages << " is missing";
  struct Node {
    const char* module;  ///< nullptr: the root
    std::size_t parent;
  };
  const std::vector<Node> plan = {
      {nullptr, 0}, {"numpy", 0},      {"pandas", 1},    {"jinja2", 0}, {"yaml", 0},
      {"pytz", 0},  {"lxml.etree", 0}, {"PIL.Image", 0}, {"sympy", 0},  {"pygments.lexers", 3}};
  std::uint64_t shared = 0, whole = 0;
  std::vector<std::unique_ptr<Zygote>> zygotes;
  for (const auto& [module, parent] : plan) {
    auto made = module == nullptr ? start() : fork_child(*zygotes[parent], {module});
    // Not installed here: the tree has one zygote less.
    if (!made && made.error().describe().find("No module") != std::string::npos) {
      zygotes.push_back(nullptr);
      continue;
    }
    ASSERT_TRUE(made) << made.error().describe();
    EXPECT_TRUE((*made)->sealing().sealed) << module << ": " << (*made)->sealing().error;
    zygotes.push_back(std::move(*made));
  }
  for (const auto& zygote : zygotes) {
    if (!zygote) continue;
    shared += zygote->memory_bytes().value();
    const auto rollup =
        read_file(AT_FDCWD, "/proc/" + std::to_string(zygote->process().pid()) + "/smaps_rollup");
    ASSERT_TRUE(rollup);
    whole += std::strtoull(rollup->c_str() + rollup->find("\nRss:") + 5, nullptr, 10) << 10;
  }
  std::printf("%zu zygotes: %.1f MB together, %.1f MB if each had its own\n", zygotes.size(),
              static_cast<double>(shared) / (1 << 20), static_cast<double>(whole) / (1 << 20));
  EXPECT_LT(shared, whole * 3 / 4);
}

}  // namespace
}  // namespace sock::zygote
