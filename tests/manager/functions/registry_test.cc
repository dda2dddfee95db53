#include "manager/functions/registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <thread>
#include <vector>

#include "manager/functions/function_json.h"
#include "netns-pool/egress_text.h"
#include "tests/manager/functions/archive_builder.h"
#include "tests/manager/functions/registry_fixture.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

TEST_F(RegistryTest, DeploysAndFinds) {
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_TRUE(registry_->list().empty());
  EXPECT_EQ(registry_->find("a"), nullptr);

  FunctionSpec spec = spec_named("a");
  spec.packages = {{"numpy", "1.24.2"}};
  spec.environment = {{"K", "V"}};
  const auto deployed = try_deploy(spec, "def handler(e): return e\n");
  ASSERT_TRUE(deployed) << deployed.error().describe();
  const Handle a = *deployed;
  EXPECT_EQ(a->generation, 1U);
  EXPECT_EQ(a->code, generation("a", 1) / "code");
  EXPECT_EQ(a->code_bytes, 25U);
  EXPECT_EQ(a->sha256.size(), 64U);
  EXPECT_GT(a->deployed_at, 1'600'000'000);
  EXPECT_EQ(read_text(a->code / "handler.py"), "def handler(e): return e\n");
  EXPECT_EQ(registry_->find("a"), a);
  EXPECT_EQ(count("staging"), 0U);

  deploy("c");
  deploy("b");
  std::vector<std::string> names;
  for (const Handle& function : registry_->list()) names.push_back(function->spec.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(RegistryTest, SurvivesReopening) {
  open();
  FunctionSpec spec = spec_named("a");
  spec.packages = {{"numpy", "1.24.2"}};
  spec.requirements = {"numpy"};
  spec.environment = {{"K", "V"}};
  spec.keep_ready = 2;
  // The registry asks for no configuration: whether nat is offered is seen at the call.
  spec.network = Network::kNat;
  spec.egress = {.internet = false, .allowed = {netns::parse_destination("10.1.2.3:443").value()}};
  ASSERT_TRUE(try_deploy(spec, "x = 1\n"));
  deploy("b");
  deploy("b", "x = 2\n");
  const auto before = to_record(*registry_->find("a")).value();
  open();
  EXPECT_TRUE(problems_.empty());
  ASSERT_EQ(registry_->list().size(), 2U);
  EXPECT_EQ(to_record(*registry_->find("a")).value(), before);
  EXPECT_EQ(registry_->find("b")->generation, 2U);
  EXPECT_EQ(read_text(registry_->find("b")->code / "handler.py"), "x = 2\n");
}

TEST_F(RegistryTest, StagedFilesCanBeReadBeforeCommitting) {
  open();
  const std::string tar =
      build_archive(ArchiveFormat::kTar, {{.name = "handler.py"},
                                          {.name = "sock.toml", .content = "memory = \"64M\"\n"},
                                          {.name = "requirements.txt/x"},
                                          {.name = "big", .content = std::string(1025, 'x')}});
  {
    auto staged = registry_->prepare(tar, "");
    ASSERT_TRUE(staged) << staged.error().describe();
    EXPECT_EQ(staged->info().files, 4U);
    EXPECT_EQ(staged->read_text("sock.toml").value(), "memory = \"64M\"\n");
    EXPECT_EQ(staged->read_text("missing").value(), std::nullopt);
    EXPECT_FALSE(staged->read_text("requirements.txt"));
    EXPECT_EQ(staged->read_text("big", 1024).error().message, "big is longer than 1K");
    EXPECT_TRUE(staged->read_text("big", 1025));
    EXPECT_EQ(count("staging"), 1U);
    StagedFunction moved = std::move(*staged);
    EXPECT_TRUE(fs::exists(moved.code() / "sock.toml"));
  }
  EXPECT_EQ(count("staging"), 0U);
}

TEST_F(RegistryTest, RefusedDeploysLeaveNothing) {
  open();
  EXPECT_FALSE(registry_->prepare("\xff", ""));
  EXPECT_FALSE(registry_->prepare(
      build_archive(ArchiveFormat::kTar, {{.name = "ok.py"}, {.name = "../x"}}), ""));
  const auto refused = [&](FunctionSpec spec) {
    const auto deployed = try_deploy(spec, "x = 1\n");
    EXPECT_FALSE(deployed);
    return deployed ? Code::kInternal : deployed.error().code;
  };
  EXPECT_EQ(refused(spec_named("../evil")), Code::kInvalid);
  EXPECT_EQ(refused(spec_named("")), Code::kInvalid);
  FunctionSpec spec = spec_named("a");
  spec.handler = "../x.y";
  EXPECT_EQ(refused(spec), Code::kInvalid);
  spec.handler = "missing.handler";
  EXPECT_EQ(refused(spec), Code::kInvalid);
  spec = spec_named("a");
  spec.environment = {{"LD_PRELOAD", "x"}};
  EXPECT_EQ(refused(spec), Code::kInvalid);
  spec = spec_named("a");
  spec.timeout = Millis(0);  // would not load again
  EXPECT_EQ(refused(spec), Code::kInvalid);
  EXPECT_EQ(count("staging"), 0U);
  EXPECT_EQ(count("functions"), 0U);
  EXPECT_EQ(count("broken"), 0U);
}

TEST_F(RegistryTest, MissingModuleIsExplained) {
  open();
  FunctionSpec spec = spec_named("a");
  spec.handler = "app.main.run";
  const auto deployed = try_deploy(
      spec, build_archive(ArchiveFormat::kZip, {{.name = "pkg/x.py"}, {.name = "handler.py"}}));
  ASSERT_FALSE(deployed);
  EXPECT_EQ(deployed.error().message,
            "handler \"app.main.run\" needs the file app/main.py or app/main/__init__.py; the top "
            "level of the bundle holds handler.py, pkg/");
}

TEST_F(RegistryTest, HandlesKeepASupersededGeneration) {
  open();
  Handle first = deploy("a", "x = 1\n");
  const Handle second = deploy("a", "x = 2\n");
  EXPECT_EQ(second->generation, 2U);
  EXPECT_EQ(registry_->find("a"), second);
  EXPECT_EQ(read_text(first->code / "handler.py"), "x = 1\n");
  first.reset();
  EXPECT_TRUE(eventually([&] { return !fs::exists(generation("a", 1)); }));
  EXPECT_TRUE(eventually([&] { return count("staging") == 0; }));
  EXPECT_EQ(read_text(second->code / "handler.py"), "x = 2\n");
}

TEST_F(RegistryTest, RemovalIsAtOnceButFilesStayForHandles) {
  open();
  Handle a = deploy("a");
  ASSERT_TRUE(registry_->remove("a"));
  EXPECT_EQ(registry_->find("a"), nullptr);
  EXPECT_EQ(registry_->remove("a").error().code, Code::kNotFound);
  EXPECT_EQ(registry_->remove("../b").error().code, Code::kNotFound);
  EXPECT_EQ(read_text(a->code / "handler.py"), "x = 1\n");
  // A handle on generation 1 lives: its number must not return.
  Handle again = deploy("a", "x = 2\n");
  EXPECT_EQ(again->generation, 2U);
  EXPECT_EQ(read_text(a->code / "handler.py"), "x = 1\n");
  a.reset();
  again.reset();
  ASSERT_TRUE(registry_->remove("a"));
  EXPECT_TRUE(eventually([&] { return count("functions") == 0 && count("staging") == 0; }));
  EXPECT_EQ(deploy("a")->generation, 1U);
}

TEST_F(RegistryTest, HandlesMayOutliveTheRegistry) {
  open();
  Handle first = deploy("a");
  Handle second = deploy("a");
  registry_.reset();
  first.reset();
  second.reset();
  open();
  EXPECT_TRUE(problems_.empty());
  EXPECT_EQ(registry_->find("a")->generation, 2U);
  EXPECT_FALSE(fs::exists(generation("a", 1)));
}

TEST_F(RegistryTest, ReadersSeeWholeFunctionsWhileTheyChange) {
  open();
  deploy("a", "x = 0\n");
  std::atomic<bool> stop = false;
  std::atomic<int> torn = 0;
  std::atomic<int> reads = 0;
  std::vector<std::jthread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        const Handle function = registry_->find("a");
        if (!function || registry_->list().size() > 1) continue;
        ++reads;
        std::ifstream in(function->code / "handler.py");
        std::string text;
        std::getline(in, text);
        const std::string expected = "x = " + std::to_string(function->spec.keep_ready);
        if (text != expected) ++torn;
      }
    });
  }
  std::vector<std::jthread> writers;
  for (std::uint32_t w = 0; w < 2; ++w) {
    writers.emplace_back([&, w] {
      for (std::uint32_t i = 0; i < 15; ++i) {
        FunctionSpec spec = spec_named("a");
        spec.keep_ready = w * 100 + i;
        const auto deployed = try_deploy(spec, "x = " + std::to_string(spec.keep_ready) + "\n");
        EXPECT_TRUE(deployed) << deployed.error().describe();
        if (i % 5 == 4) {
          const auto removed = registry_->remove("a");
          EXPECT_TRUE(removed || removed.error().code == Code::kNotFound);
        }
      }
    });
  }
  writers.clear();
  EXPECT_TRUE(eventually([&] { return reads > 0; }));
  stop = true;
  readers.clear();
  EXPECT_EQ(torn, 0);
  EXPECT_TRUE(eventually([&] { return count("staging") == 0; }));
  const std::size_t alive = registry_->list().size();
  EXPECT_TRUE(eventually([&] { return count("functions") == alive; }));
}

TEST_F(RegistryTest, LongestPathsCanBeDeployedAndRemoved) {
  open();
  std::string path;
  for (int i = 0; i < 15; ++i) path += std::string(255, 'a') + "/";
  path += std::string(4095 - path.size(), 'z');
  const std::string tar =
      build_archive(ArchiveFormat::kTar, {{.name = "handler.py"}, {.name = path, .content = "x"}});
  deploy("a", tar);
  open();
  EXPECT_TRUE(problems_.empty());
  ASSERT_TRUE(registry_->remove("a"));
  EXPECT_TRUE(eventually([&] { return count("functions") == 0 && count("staging") == 0; }));
}

TEST_F(RegistryTest, ManyFilesAreDeployed) {
  open();
  std::vector<ArchiveItem> items = {{.name = "handler.py"}};
  for (int i = 0; i < 1000; ++i)
    items.push_back({.name = "d/" + std::to_string(i), .content = "x"});
  EXPECT_EQ(deploy("a", build_archive(ArchiveFormat::kTarGz, items))->code_bytes, 1000U);
}

TEST_F(RegistryTest, StateIsPrivate) {
  open();
  const Handle a = deploy("a");
  for (const fs::path& private_folder :
       {state_ / "functions", state_ / "staging", state_ / "broken"}) {
    struct stat status {};
    ASSERT_EQ(::stat(private_folder.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U) << private_folder;
  }
  struct stat status {};
  ASSERT_EQ(::stat(a->code.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0755U);
}

TEST_F(RegistryTest, UnusableStateDirectoryIsAnError) {
  write_text(state_, "a file");
  const auto opened = Registry::open(state_, BundleLimits());
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().describe().find(state_.native()), std::string::npos);
}

}  // namespace
}  // namespace sock::manager
