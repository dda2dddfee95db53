#include "manager/jobs/installer.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <optional>
#include <set>

#include "tests/manager/jobs/job_fixture.h"
#include "tests/support/wheel.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;
using pkgcache::Package;
using test_support::WheelSpec;
using test_support::write_wheel;

class InstallerTest : public JobFixture {
 protected:
  void SetUp() override {
    fs::create_directories(links());
    auto opened = pkgcache::Store::open(folder_.path() / "store");
    ASSERT_TRUE(opened) << opened.error().describe();
    packages_ = std::move(opened->store);
    JobFixture::SetUp();
    options_.find_links = {links()};
    options_.limits.memory_bytes = 256U << 20;
  }

  void TearDown() override {
    installed_.clear();
    JobFixture::TearDown();
    if (!packages_) return;
    // Whatever happened: what is in the store is whole, and nothing is left half done.
    std::set<std::string> folders, known;
    for (const auto& entry : fs::directory_iterator(packages_->packages())) {
      folders.insert(entry.path().filename().string());
    }
    for (const auto& stored : packages_->list()) known.insert(folder_name(stored->package()));
    EXPECT_EQ(folders, known);
    EXPECT_TRUE(fs::is_empty(folder_.path() / "store/staging"));
    if (fs::exists(work())) {
      EXPECT_TRUE(fs::is_empty(work() / "wheels"));
    }
  }

  sandbox::RootOptions root() override {
    sandbox::RootOptions options;
    options.store = packages_->packages();
    return options;
  }

  [[nodiscard]] fs::path links() const { return folder_.path() / "links"; }
  [[nodiscard]] fs::path work() const { return folder_.path() / "work"; }

  /// Jobs that do something else than they should: bodies of their handlers.
  std::string why_not_with(const std::string& fetch, const std::string& install) {
    const std::string head = "import hashlib, json, os\ndef handler(event, context):\n";
    const std::string sources[] = {head + fetch, head + install};
    const std::array<JobScript, 2> scripts{{{"fetch", sources[0]}, {"install", sources[1]}}};
    jobs_ = runner(scripts);
    const auto why = why_not("alpha\n");
    EXPECT_TRUE(packages_->list().empty());
    return why;
  }

  /// A fetch job's that chose alpha 1.0 and downloaded a file of `content`.
  static std::string fetched(const std::string& content, const std::string& chosen) {
    return "  os.mkdir('/tmp/wheels')\n"
           "  name = 'alpha-1.0-py3-none-any.whl'\n"
           "  open('/tmp/wheels/' + name, 'w').write('" +
           content +
           "')\n"
           "  digest = hashlib.sha256(b'" +
           chosen +
           "').hexdigest()\n"
           "  return {'wheels': [name], 'report': {'version': '1', 'install': [{\n"
           "      'download_info': {'url': 'file:///' + name,\n"
           "                        'archive_info': {'hash': 'sha256=' + digest}},\n"
           "      'is_direct': False, 'requested': True,\n"
           "      'metadata': {'name': 'alpha', 'version': '1.0'}}]}}\n";
  }

  /// An install job's that leaves a complete package, but for what `spoil` does in it.
  static std::string installed(const std::string& spoil) {
    return "  os.makedirs('/tmp/out/0/alpha-1.0.dist-info')\n"
           "  os.chdir('/tmp/out/0')\n"
           "  open('alpha.py', 'w').close()\n"
           "  with open('alpha-1.0.dist-info/METADATA', 'w') as file:\n"
           "    file.write('Metadata-Version: 2.1\\nName: alpha\\nVersion: 1.0\\n')\n" +
           spoil + "  return {'wheels': [{'index': 0, 'ok': True}]}\n";
  }

  std::unique_ptr<Installer> installer() {
    auto installer = Installer::create(options_, work(), *jobs_, *packages_, disk_);
    EXPECT_TRUE(installer) << installer.error().describe();
    return std::move(*installer);
  }

  static std::vector<pkgcache::Requirement> parse(const std::string& text) {
    auto requirements = pkgcache::parse_requirements(text);
    EXPECT_TRUE(requirements) << requirements.error().describe();
    return std::move(*requirements);
  }

  Result<std::vector<Package>> ensure(const std::string& text) {
    const auto installer = this->installer();
    auto installed = run(installer->ensure(parse(text)));
    if (!installed) return std::unexpected(installed.error());
    installed_.push_back(installed->pin);
    return installed->packages;
  }

  std::string why_not(const std::string& text) {
    const auto packages = ensure(text);
    EXPECT_FALSE(packages) << "installed";
    return packages ? "" : packages.error().describe();
  }

  std::string why_not(const WheelSpec& spec) {
    write_wheel(links(), spec);
    const auto why = why_not(spec.name + "\n");
    EXPECT_TRUE(packages_->list().empty());
    return why;
  }

  /// An index of what is in links(), as PEP 503 has it.
  void make_index(const std::string& name, const std::string& anchors) {
    write_text(links() / "simple" / name / "index.html",
               "<!DOCTYPE html><html><body>" + anchors + "</body></html>");
    options_.index_url = "file:///var/wheels/0/simple";
  }

  InstallerOptions options_;
  std::unique_ptr<pkgcache::Store> packages_;
  std::vector<std::shared_ptr<const pkgcache::Pin>> installed_;
  Worker disk_;
};

TEST_F(InstallerTest, InstallsAClosureThatSandboxesImport) {
  const auto alpha = write_wheel(links(), {.name = "alpha",
                                           .version = "1.0",
                                           .requirements = {"beta>=1"},
                                           .files = {{"alpha.py", "import beta\n"}}});
  const auto beta = write_wheel(links(), {.name = "beta", .version = "2.0"});
  const auto packages = ensure("# mine\nalpha==1.0\n");
  ASSERT_TRUE(packages) << packages.error().describe();
  EXPECT_EQ(*packages,
            (std::vector<Package>{{"alpha", "1.0", alpha.sha256}, {"beta", "2.0", beta.sha256}}));
  Job job;
  job.event["path"] = json::array{json::string(pkgcache::folder_in_sandbox(packages->at(0))),
                                  json::string(pkgcache::folder_in_sandbox(packages->at(1)))};
  const auto used = run_script(
      "  sys.path += event['path']\n"
      "  import alpha\n"
      "  return {'version': alpha.beta.VERSION, 'file': alpha.beta.__file__,\n"
      "          'cached': os.path.exists(alpha.__cached__)}\n",
      job);
  ASSERT_TRUE(used) << used.error().describe();
  EXPECT_EQ(used->value.at("version"), "2.0");
  EXPECT_TRUE(used->value.at("file").as_string().starts_with("/var/packages/beta-2.0-"));
  EXPECT_EQ(used->value.at("cached"), true);
}

TEST_F(InstallerTest, WhatIsThereIsNotInstalledAgain) {
  write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta"}});
  write_wheel(links(), {.name = "beta", .version = "2.0"});
  ASSERT_TRUE(ensure("beta\n"));
  const auto before = packages_->list();
  ASSERT_EQ(before.size(), 1U);
  const auto both = ensure("alpha\n");
  ASSERT_TRUE(both) << both.error().describe();
  EXPECT_EQ(both->size(), 2U);
  EXPECT_EQ(packages_->find(before.front()->package()), before.front()) << "another one";
}

TEST_F(InstallerTest, TwoWhoWantTheSameAtOnceGetTheSame) {
  write_wheel(links(), {.name = "alpha", .version = "1.0"});
  const auto installer = this->installer();
  std::vector<std::vector<Package>> got;
  auto want = [&]() -> asio::awaitable<void> {
    auto installed = co_await installer->ensure(parse("alpha\n"));
    EXPECT_TRUE(installed) << installed.error().describe();
    got.push_back(installed ? installed->packages : std::vector<Package>());
  };
  for (int i = 0; i < 2; ++i) asio::co_spawn(loop_, want(), asio::detached);
  ASSERT_TRUE(until([&] { return got.size() == 2; }));
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(packages_->list().size(), 1U);
}

TEST_F(InstallerTest, InstallsInSeveralJobsWhatDoesNotFitIntoOne) {
  const std::string noise = [] {
    std::string text = "x = '";
    for (unsigned i = 0, n = 1; i < 350'000; ++i, n = n * 1664525 + 1013904223) {
      text.push_back(static_cast<char>('a' + (n >> 24) % 26));
    }
    return text + "'\n";
  }();
  for (const char* name : {"alpha", "beta", "gamma", "delta"}) {
    write_wheel(links(),
                {.name = name, .version = "1", .files = {{std::string(name) + ".py", noise}}});
  }
  options_.limits.tmp_bytes = 2U << 20;
  const auto packages = ensure("alpha\nbeta\ngamma\ndelta\n");
  ASSERT_TRUE(packages) << packages.error().describe();
  EXPECT_EQ(packages->size(), 4U);
}

TEST_F(InstallerTest, SaysWhichLineCannotBeMet) {
  write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta<2"}});
  write_wheel(links(), {.name = "beta", .version = "1.0"});
  write_wheel(links(), {.name = "beta", .version = "2.0"});
  const auto missing = why_not("beta\nalpha==9\n");
  EXPECT_NE(missing.find("line 2"), std::string::npos) << missing;
  EXPECT_NE(missing.find("1.0"), std::string::npos) << missing;
  const auto conflict = why_not("alpha\nbeta>=2\n");
  EXPECT_NE(conflict.find("beta"), std::string::npos) << conflict;
  write_text(links() / "gamma-1.0.tar.gz", "a source archive");
  const auto source = why_not("gamma\n");
  EXPECT_NE(source.find("line 1"), std::string::npos) << source;
  EXPECT_TRUE(packages_->list().empty());
}

TEST_F(InstallerTest, HoldsHashes) {
  const auto alpha = write_wheel(links(), {.name = "alpha", .version = "1.0"});
  const auto good = ensure("alpha==1.0 --hash=sha256:" + alpha.sha256 + "\n");
  EXPECT_TRUE(good) << good.error().describe();
  const auto other = why_not("alpha==1.0 --hash=sha256:" + std::string(64, '0') + "\n");
  EXPECT_NE(other.find("line 1"), std::string::npos) << other;
}

TEST_F(InstallerTest, AsksAnIndexAndRefusesWhatWasWithdrawn) {
  const auto alpha = write_wheel(links(), {.name = "alpha", .version = "1.0"});
  const auto beta = write_wheel(links(), {.name = "beta", .version = "1.0"});
  make_index("alpha", "<a href=\"../../" + alpha.file_name + "\">" + alpha.file_name + "</a>");
  make_index("beta", "<a href=\"../../" + beta.file_name + "\" data-yanked=\"it is broken\">" +
                         beta.file_name + "</a>");
  const auto packages = ensure("alpha\n");
  EXPECT_TRUE(packages) << packages.error().describe();
  // In an index of its own: a folder of wheels has no word on it.
  fs::create_directories(folder_.path() / "apart");
  fs::rename(links() / beta.file_name, links() / "simple" / beta.file_name);
  make_index("beta", "<a href=\"../" + beta.file_name + "\" data-yanked=\"it is broken\">" +
                         beta.file_name + "</a>");
  const auto yanked = why_not("beta==1.0\n");
  EXPECT_NE(yanked.find("it is broken"), std::string::npos) << yanked;
}

TEST_F(InstallerTest, RefusesHostileWheelsAndNamesThem) {
  const auto escaped =
      why_not({.name = "escaped", .version = "1.0", .files = {{"../../escaped.py", "x"}}});
  EXPECT_NE(escaped.find("escaped==1.0"), std::string::npos) << escaped;
  EXPECT_NE(escaped.find("outside the target directory"), std::string::npos) << escaped;
  const auto linked =
      why_not({.name = "linked", .version = "1.0", .links = {{"linked/passwd", "/etc/passwd"}}});
  EXPECT_NE(linked.find("'linked/passwd' is neither a file nor a folder"), std::string::npos)
      << linked;
}

TEST_F(InstallerTest, RefusesWheelsOfAnotherName) {
  const auto other = why_not({.name = "alpha",
                              .version = "1.0",
                              .files = {{"alpha-1.0.dist-info/METADATA",
                                         "Metadata-Version: 2.1\nName: beta\nVersion: 1.0\n"}}});
  EXPECT_NE(other, "");
}

TEST_F(InstallerTest, ABombHitsTheLimits) {
  options_.limits.tmp_bytes = 32U << 20;
  const auto bomb = why_not(
      {.name = "bomb", .version = "1.0", .files = {{"bomb.bin", std::string(64U << 20, '\0')}}});
  EXPECT_NE(bomb.find("bomb==1.0"), std::string::npos) << bomb;
  EXPECT_NE(bomb.find("No space left on device"), std::string::npos) << bomb;
}

TEST_F(InstallerTest, BelievesNoJob) {
  const std::string fetch = fetched("wheel", "wheel");
  const auto holds = [](const std::string& said, const std::string& text) {
    EXPECT_NE(said.find(text), std::string::npos) << said;
  };
  holds(why_not_with(fetched("wheel", "another"), installed("")),
        "not the file that pip has chosen");
  holds(why_not_with("  os.symlink('/etc', '/tmp/wheels')\n  return {'report': {}}\n", ""),
        "wheels");
  holds(why_not_with("  os.mkdir('/tmp/wheels')\n  return {}\n", ""), "no report");
  holds(why_not_with("  os.mkdir('/tmp/wheels')\n  return {'report': [1]}\n", ""), "report");
  holds(why_not_with("  return {'error': ['x'], 'output': 7}\n", ""), "");
  holds(why_not_with(fetch, "  return {'wheels': 7}\n"), "does not say what became of it");
  holds(why_not_with(fetch, "  return {'wheels': [{'index': 0, 'ok': True}]}\n"), "out/0");
  holds(why_not_with(fetch, installed("  os.symlink('/etc/passwd', 'passwd')\n")), "passwd");
  holds(why_not_with(fetch, installed("  os.link('alpha.py', 'beta.py')\n")), "hard link");
  holds(why_not_with(fetch, installed("  os.mkfifo('pipe')\n")), "pipe");
  holds(why_not_with(fetch, installed("  os.chdir('/tmp'); os.rename('out/0', 'o')\n"
                                      "  os.symlink('/usr/share', 'out/0')\n")),
        "out/0");
  // And the control: all of this refused the spoilt alone.
  const std::string head = "import hashlib, os\ndef handler(event, context):\n";
  const std::string sources[] = {head + fetch, head + installed("")};
  const std::array<JobScript, 2> scripts{{{"fetch", sources[0]}, {"install", sources[1]}}};
  jobs_ = runner(scripts);
  const auto good = ensure("alpha\n");
  EXPECT_TRUE(good) << good.error().describe();
}

TEST_F(InstallerTest, KilledAtAnyMomentItLeavesNothingHalfDone) {
  write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta"}});
  write_wheel(links(), {.name = "beta", .version = "2.0"});
  unsigned killed = 0;
  for (Millis after{5}; after < Millis(5'000); after += after / 2) {
    jobs_ = runner(job_scripts());
    const auto installer = this->installer();
    std::optional<Result<Installed>> got;
    auto want = [&]() -> asio::awaitable<void> {
      auto installed = co_await installer->ensure(parse("alpha\n"));
      got.emplace(std::move(installed));
    };
    asio::co_spawn(loop_, want(), asio::detached);
    loop_.restart();
    loop_.run_for(after);
    jobs_->stop();
    ASSERT_TRUE(until([&] { return got.has_value(); }));
    EXPECT_TRUE(fs::is_empty(folder_.path() / "store/staging"));
    EXPECT_TRUE(packages_->list().empty() || got->has_value() || packages_->list().size() == 2U);
    if (got->has_value()) break;
    EXPECT_EQ(got->error().code, Code::kDraining) << got->error().describe();
    ++killed;
  }
  EXPECT_GT(killed, 2U);
}

TEST_F(InstallerTest, AFullMachineIsTheJobsErrorNotThePackages) {
  write_wheel(links(), {.name = "alpha", .version = "1.0"});
  options_.timeout = Millis(1);
  const auto packages = ensure("alpha\n");
  ASSERT_FALSE(packages);
  EXPECT_EQ(packages.error().code, Code::kTimeout) << packages.error().describe();
}

TEST_F(InstallerTest, IsConfiguredWhereThereIsSomewhereToLook) {
  EXPECT_TRUE(installer()->configured());
  options_.find_links.clear();
  EXPECT_FALSE(installer()->configured());
  options_.index_url = "https://packages.example/simple";
  EXPECT_TRUE(installer()->configured());
}

}  // namespace
}  // namespace sock::manager
