// The catalogue over the interpreter's own dist-packages, and its modules under that interpreter.

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "base/spawn.h"
#include "pkgcache/catalogue.h"
#include "temporary_folder.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "/usr/lib/python3/dist-packages";
constexpr const char* kPython = "/usr/bin/python3";

/// Exit code of the system interpreter; -1 when it was killed or took more than a minute.
int run_python(const std::vector<std::string>& args, const TemporaryFolder& home) {
  SpawnSpec spec;
  spec.program = fs::canonical(kPython).string();
  spec.args = args;
  // matplotlib wants a writable folder for its settings.
  spec.env = {"PATH=/usr/bin:/bin", "HOME=" + home.path().string(), "OPENBLAS_NUM_THREADS=1"};
  auto child = spawn(spec);
  if (!child) {
    ADD_FAILURE() << child.error().describe();
    return -1;
  }
  pollfd done{child->pidfd(), POLLIN, 0};
  const int ready = ::poll(&done, 1, 60'000);
  if (ready != 1) return -1;
  const auto exit = child->try_reap();
  return exit && !exit->signalled ? exit->status : -1;
}

class HostPackages : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!fs::is_directory(kFolder)) GTEST_SKIP() << kFolder << " is missing";
    auto scanned = Catalogue::scan({kFolder});
    ASSERT_TRUE(scanned) << scanned.error().describe();
    catalogue_ = std::move(*scanned);
  }
  Catalogue catalogue_;
};

TEST_P(HostPackages, ResolvesAndEveryModuleImports) {
  if (catalogue_.find(GetParam()) == nullptr) GTEST_SKIP() << GetParam() << " is not installed";
  const auto closure = catalogue_.resolve(*parse_requirements(GetParam()));
  ASSERT_TRUE(closure) << closure.error().message;
  const auto modules = catalogue_.modules_of(*closure);
  EXPECT_FALSE(modules.empty());
  if (!fs::exists(kPython)) GTEST_SKIP() << kPython << " is missing";
  std::string program = "import sys\nsys.path.append('" + std::string(kFolder) + "')\n";
  for (const std::string& module : modules) program += "import " + module + "\n";
  SCOPED_TRACE(program);
  const TemporaryFolder home;
  EXPECT_EQ(run_python({"-I", "-c", program}, home), 0);
  // As in a zygote: without site, hence without *.pth files.
  EXPECT_EQ(run_python({"-I", "-S", "-c", program}, home), 0);
}

INSTANTIATE_TEST_SUITE_P(Used, HostPackages,
                         testing::Values("numpy", "pandas", "pillow", "jinja2", "python-dateutil",
                                         "pytz", "matplotlib", "pyyaml", "lxml"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::erase(name, '-');
                           return name;
                         });

using HostCatalogue = HostPackages;

TEST_F(HostCatalogue, ClosuresHoldWhatDebianRemovedFromTheMetadata) {
  if (!fs::exists("/var/lib/dpkg/status")) GTEST_SKIP() << "not a Debian system";
  struct Case {
    const char* package;
    std::vector<std::string> needs;
  };
  for (const Case& c :
       {Case{"pandas", {"numpy", "python-dateutil", "pytz", "six"}}, Case{"jinja2", {"markupsafe"}},
        Case{"matplotlib",
             {"contourpy", "cycler", "fonttools", "kiwisolver", "numpy", "packaging", "pillow",
              "pyparsing", "python-dateutil", "six"}}}) {
    const Entry* const entry = catalogue_.find(c.package);
    if (entry == nullptr) continue;
    EXPECT_EQ(entry->needs(), c.needs) << c.package;
  }
}

TEST_F(HostCatalogue, EveryPackageIsReadable) {
  EXPECT_FALSE(catalogue_.entries().empty());
  for (const auto& problem : catalogue_.problems()) {
    ADD_FAILURE() << problem.path << ": " << problem.reason;
  }
}

TEST_F(HostCatalogue, ADifferentVersionIsRefused) {
  const Entry* const numpy = catalogue_.find("numpy");
  if (numpy == nullptr) GTEST_SKIP() << "numpy is not installed";
  const auto resolved = catalogue_.resolve(*parse_requirements("numpy==99.0\n"));
  ASSERT_FALSE(resolved);
  EXPECT_EQ(resolved.error().message,
            "requirements.txt line 1: numpy==99.0: this host has numpy " + numpy->package.version);
}

}  // namespace
}  // namespace sock::pkgcache
