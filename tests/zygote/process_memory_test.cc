// What is told of the memory of a real process.

#include "zygote/process_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"
#include "tests/zygote/child.h"
#include "zygote/image.h"

namespace sock::zygote {
namespace {

using Pages = ProcessMemory::Pages;

char* map(std::size_t pages, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1) {
  void* const at = ::mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) return nullptr;
  // Page by page, also where the host prefers huge ones.
  (void)::madvise(at, pages * kPage, MADV_NOHUGEPAGE);
  return static_cast<char*>(at);
}

std::uint64_t address(const char* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

/// Ranges as page numbers relative to `base`: "2-4 7-8 ".
std::string text(const Result<std::vector<PageRange>>& ranges, const char* base) {
  if (!ranges) return ranges.error().describe();
  std::string out;
  for (const auto& range : *ranges) {
    out += std::to_string((range.begin - address(base)) / kPage) + "-" +
           std::to_string((range.end - address(base)) / kPage) + " ";
  }
  return out;
}

const Region* find(const ProcessMemory& memory, std::uint64_t at) {
  for (const auto& mapping : memory.regions()) {
    if (mapping.begin <= at && at < mapping.end) return &mapping;
  }
  return nullptr;
}

TEST(ProcessMemory, KnowsEveryMapping) {
  const auto memory = ProcessMemory::open(::getpid());
  ASSERT_TRUE(memory) << memory.error().describe();
  EXPECT_TRUE(std::ranges::is_sorted(memory->regions(), {}, &Region::begin));
  const auto* const code = find(*memory, reinterpret_cast<std::uint64_t>(&::getpid));
  ASSERT_NE(code, nullptr);
  EXPECT_EQ(code->protection, static_cast<std::uint32_t>(PROT_READ | PROT_EXEC));
  EXPECT_NE(code->inode, 0U);
  EXPECT_NE(code->name.find("libc"), std::string::npos) << code->name;
  EXPECT_FALSE(code->shared || code->special());
  const int local = 0;
  const auto* const stack = find(*memory, reinterpret_cast<std::uint64_t>(&local));
  ASSERT_NE(stack, nullptr);
  EXPECT_TRUE(stack->special()) << stack->name;
}

TEST(ProcessMemory, TellsPagesWrittenFromPagesRead) {
  char* const base = map(16);
  ASSERT_NE(base, nullptr);
  // Before the fork: 0 to 5 are shared with the child, which then writes 2, 3 and 8, and reads 12.
  std::memset(base, 'x', 6 * kPage);
  const Child child([base] {
    base[2 * kPage] = base[3 * kPage] = base[8 * kPage] = 'y';
    volatile char read = base[12 * kPage];
    return read == 0;
  });
  ASSERT_TRUE(child.worked());
  const auto memory = ProcessMemory::open(child.pid());
  ASSERT_TRUE(memory) << memory.error().describe();
  const std::uint64_t begin = address(base), end = begin + 16 * kPage;
  EXPECT_EQ(text(memory->pages(Pages::kOwn, begin, end), base), "2-4 8-9 ");
  EXPECT_EQ(text(memory->pages(Pages::kMapped, begin, end), base), "0-2 4-6 12-13 ");
  EXPECT_EQ(text(memory->pages(Pages::kOwn, begin + 3 * kPage, begin + 8 * kPage), base), "3-4 ");
  ::munmap(base, 16 * kPage);
}

TEST(ProcessMemory, CopiesLeaveHolesForWhatCannotBeRead) {
  // A file of one page mapped as three: the other two give SIGBUS.
  const Fd file(::memfd_create("short", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), kPage), 0);
  char* const base = map(3, MAP_PRIVATE, file.get());
  ASSERT_NE(base, nullptr);
  std::memset(base, 'z', kPage);
  const auto memory = ProcessMemory::open(::getpid());
  ASSERT_TRUE(memory);
  const Fd out(::memfd_create("copy", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(out.get(), 4 * kPage), 0);
  const auto copied = memory->copy(address(base), 3 * kPage, out.get(), kPage);
  ASSERT_TRUE(copied) << copied.error().describe();
  std::string bytes(4 * kPage, '?');
  ASSERT_EQ(::pread(out.get(), bytes.data(), bytes.size(), 0), 4 * static_cast<ssize_t>(kPage));
  EXPECT_EQ(bytes,
            std::string(kPage, '\0') + std::string(kPage, 'z') + std::string(2 * kPage, '\0'));
  ::munmap(base, 3 * kPage);
}

TEST(ProcessMemory, TheDeadHaveNone) {
  pid_t gone = -1;
  {
    const Child child([] { return true; });
    gone = child.pid();
  }
  EXPECT_FALSE(ProcessMemory::open(gone));
}

}  // namespace
}  // namespace sock::zygote
