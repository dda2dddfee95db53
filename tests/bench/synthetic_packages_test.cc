#include "bench/pkgcache/synthetic_packages.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/await_exit.h"
#include "bench/instance.h"
#include "bench/pkgcache/trees.h"

namespace sock::bench {
namespace {

using Names = std::set<std::string>;

pkgcache::Function function(const std::string& name, const Names& packages) {
  pkgcache::Function out{.name = name, .packages = {}};
  for (const auto& package : packages) out.packages.push_back({package, "1"});
  return out;
}

TEST(Requirements, AreWhatAlwaysAccompanies) {
  const std::vector<pkgcache::Function> functions{function("1", {"app", "base", "mid"}),
                                                  function("2", {"base", "mid"}),
                                                  function("3", {"base"})};
  const auto requirements = infer_requirements(functions);
  EXPECT_EQ(requirements.at("base"), Names{});
  EXPECT_EQ(requirements.at("mid"), Names{"base"});
  EXPECT_EQ(requirements.at("app"), Names{"mid"});  // base follows
}

TEST(Requirements, OfInseparablePackagesMakeNoCycle) {
  const auto requirements = infer_requirements(std::vector{function("1", {"a", "b", "c"})});
  EXPECT_EQ(requirements.at("a"), Names{});
  EXPECT_EQ(requirements.at("b"), Names{"a"});
  EXPECT_EQ(requirements.at("c"), Names{"b"});
}

class SyntheticPackages : public testing::Test {
 protected:
  void SetUp() override {
    auto scratch = ScratchFolder::make();
    ASSERT_TRUE(scratch);
    scratch_.emplace(std::move(*scratch));
    wheels_ = scratch_->path() / "wheels";
    installed_ = scratch_->path() / "installed";
    std::filesystem::create_directory(wheels_);
  }

  /// stdout of the host's Python; empty when it fails.
  std::string python(const std::vector<std::string>& args) {
    SpawnSpec command;
    command.program = "/bin/sh";
    const auto output = scratch_->path() / "output";
    command.args = {"-c", "output=$1; shift; exec /usr/bin/python3 -I \"$@\" >\"$output\" 2>&1",
                    "sh", output.string()};
    command.args.insert(command.args.end(), args.begin(), args.end());
    command.env = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=" + scratch_->path().string()};
    auto process = spawn(command);
    if (!process) return {};
    const auto exit = await_exit(*process, Millis(60'000));
    const auto text = read_file(AT_FDCWD, output).value_or("");
    EXPECT_TRUE(exit && !exit->signalled && exit->status == 0) << text;
    return text;
  }

  void pip_install(const std::string& requirement) {
    python({"-m", "pip", "install", "--no-index", "--find-links", wheels_.string(), "--target",
            installed_.string(), "--disable-pip-version-check", requirement});
  }

  /// CPU ms and private MB that importing the module takes.
  std::pair<double, double> measure(const std::string& module) {
    const auto text = python({"-c",
                              "import sys, time\n"
                              "sys.path.insert(0, sys.argv[1])\n"
                              "def private():\n"
                              "    lines = open('/proc/self/smaps_rollup').read().splitlines()\n"
                              "    return sum(int(line.split()[1]) for line in lines\n"
                              "               if line.startswith('Private_'))\n"
                              "private()\n"
                              "kb, began = private(), time.process_time()\n"
                              "__import__(sys.argv[2])\n"
                              "took = time.process_time() - began\n"
                              "print(took * 1000, (private() - kb) / 1024)\n",
                              installed_.string(), module});
    std::istringstream figures(text);
    std::pair<double, double> out{-1, -1};
    figures >> out.first >> out.second;
    return out;
  }

  /// One function with these packages.
  static Sample sample_of(const std::map<std::string, pkgcache::PackageCost>& packages) {
    pkgcache::CostTable table;
    pkgcache::Function all{.name = "all", .packages = {}};
    for (const auto& [name, cost] : packages) {
      table[name]["1.0"] = cost;
      all.packages.push_back({name, "1.0"});
    }
    return draw_sample(std::vector{all}, table, {.functions = 1}).value();
  }

  std::optional<ScratchFolder> scratch_;
  std::filesystem::path wheels_;
  std::filesystem::path installed_;
};

TEST_F(SyntheticPackages, TakeTheirTimeAndMemoryOnImport) {
  ASSERT_TRUE(write_wheels(wheels_, sample_of({{"heavy", {120, 8}}})));
  pip_install("synthetic-heavy==1.0");
  const auto [ms, mb] = measure("synthetic_heavy");
  EXPECT_NEAR(ms, 120, 120 * 0.15);
  EXPECT_NEAR(mb, 8, 8 * 0.10);
}

TEST_F(SyntheticPackages, ThatAreSmallTakeLittle) {
  ASSERT_TRUE(write_wheels(wheels_, sample_of({{"light", {0, 0}}})));
  pip_install("synthetic-light==1.0");
  const auto [ms, mb] = measure("synthetic_light");
  EXPECT_GE(ms, 0);
  EXPECT_LT(ms, 3);
  EXPECT_LT(mb, 0.5);
}

TEST_F(SyntheticPackages, ImportWhatTheyRequire) {
  ASSERT_TRUE(write_wheels(wheels_, sample_of({{"a-base", {40, 3}}, {"b.user", {60, 5}}})));
  pip_install("synthetic-b-user");
  const auto [ms, mb] = measure("synthetic_b_user");
  EXPECT_NEAR(ms, 100, 100 * 0.15);
  EXPECT_NEAR(mb, 8, 8 * 0.10);
}

TEST_F(SyntheticPackages, AreInstalledAsRecorded) {
  ASSERT_TRUE(write_wheels(wheels_, sample_of({{"heavy", {1, 1}}})));
  pip_install("synthetic-heavy");
  const auto listed =
      python({"-c",
              "import sys\n"
              "from importlib.metadata import distributions\n"
              "for d in distributions(path=[sys.argv[1]]):\n"
              "    print(d.name, d.version, all(f.locate().exists() for f in d.files))\n",
              installed_.string()});
  EXPECT_EQ(listed, "synthetic-heavy 1.0 True\n");
}

}  // namespace
}  // namespace sock::bench
