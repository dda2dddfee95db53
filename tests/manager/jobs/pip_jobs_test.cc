#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "tests/manager/functions/archive_builder.h"
#include "tests/manager/jobs/job_fixture.h"
#include "tests/support/wheel.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;
using test_support::Wheel;
using test_support::WheelSpec;
using test_support::write_wheel;

/// The two scripts that run pip, without a store.
class PipJobsTest : public JobFixture {
 protected:
  void SetUp() override {
    fs::create_directories(links());
    JobFixture::SetUp();
  }

  [[nodiscard]] fs::path links() const { return folder_.path() / "links"; }

  /// With more members of the event.
  Result<JobAnswer> fetch(const std::string& requirements, const json::object& more = {}) {
    Job job;
    job.script = "fetch";
    job.event = {{"requirements", requirements},
                 {"require_hashes", false},
                 {"wheels_only", true},
                 {"no_index", true},
                 {"find_links", json::array{"/var/wheels/0"}},
                 {"index_url", ""},
                 {"extra_index_urls", json::array()},
                 {"extra_options", json::array()},
                 {"have", json::array()},
                 {"host", json::array()}};
    for (const auto& [key, value] : more) job.event[key] = value;
    job.limits.memory_bytes = 256U << 20;
    job.wheels = {links()};
    auto list = [this](const json::object& answer, int tmp) -> asio::awaitable<Result<>> {
      fetched_.clear();
      if (answer.contains("error")) co_return Result<>{};
      const fs::path wheels = "/proc/self/fd/" + std::to_string(tmp) + "/wheels";
      for (const auto& entry : fs::directory_iterator(wheels)) {
        fetched_.insert(entry.path().filename().string());
      }
      co_return Result<>{};
    };
    auto answer = run(jobs_->run(std::move(job), list));
    EXPECT_TRUE(answer) << answer.error().describe();
    return answer;
  }

  static std::string error_of(const Result<JobAnswer>& answer) {
    const auto* error = answer ? answer->value.if_contains("error") : nullptr;
    return error != nullptr ? std::string(error->as_string()) : "";
  }

  /// "NAME==VERSION", sorted.
  static std::set<std::string> chosen(const Result<JobAnswer>& answer) {
    std::set<std::string> names;
    if (!answer || !answer->value.contains("report")) return names;
    for (const auto& entry : answer->value.at("report").at("install").as_array()) {
      const auto& metadata = entry.at("metadata").as_object();
      names.insert(std::string(metadata.at("name").as_string()) +
                   "==" + std::string(metadata.at("version").as_string()));
    }
    return names;
  }

  static std::string stated_digest(const json::value& entry) {
    return std::string(entry.at("download_info").at("archive_info").at("hash").as_string())
        .substr(std::string("sha256=").size());
  }

  /// Installs one wheel of links() for /var/packages/FOLDER, and copies it there.
  Result<json::object> install(const std::string& file, const std::string& folder,
                               Job job = roomy()) {
    job.script = "install";
    const json::object wheel{{"file", file}, {"index", 0}, {"folder", "/var/packages/" + folder}};
    job.event["wheels"] = json::array{wheel};
    job.wheels = {links()};
    auto copy = [&](const json::object&, int tmp) -> asio::awaitable<Result<>> {
      const fs::path out = "/proc/self/fd/" + std::to_string(tmp) + "/out/0";
      if (fs::exists(out)) fs::copy(out, store() / folder, fs::copy_options::recursive);
      co_return Result<>{};
    };
    auto answer = run(jobs_->run(std::move(job), copy));
    if (!answer) return std::unexpected(answer.error());
    return answer->value.at("wheels").at(0).as_object();
  }

  static Job roomy() {
    Job job;
    job.event = {{"most_files", 1000}, {"most_bytes", 1U << 30}};
    job.limits.memory_bytes = 256U << 20;
    return job;
  }

  std::string why_not(const WheelSpec& spec, Job job = roomy()) {
    const auto wheel = write_wheel(links(), spec);
    const auto said = install(wheel.file_name, "refused", std::move(job));
    if (!said) return said.error().describe();
    EXPECT_FALSE(fs::exists(store() / "refused")) << "something was left behind";
    return said->contains("error") ? std::string(said->at("error").as_string()) : "";
  }

  std::set<std::string> fetched_;
};

TEST_F(PipJobsTest, FetchesWhatIsWantedAndWhatThatNeeds) {
  const auto alpha =
      write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta>=1"}});
  write_wheel(links(), {.name = "beta", .version = "1.0"});
  const auto beta = write_wheel(links(), {.name = "beta", .version = "2.0"});
  const auto answer = fetch("alpha==1.0\n");
  EXPECT_EQ(error_of(answer), "");
  EXPECT_EQ(chosen(answer), (std::set<std::string>{"alpha==1.0", "beta==2.0"}));
  EXPECT_EQ(fetched_, (std::set{alpha.file_name, beta.file_name}));
  const auto& entries = answer->value.at("report").at("install").as_array();
  EXPECT_EQ(stated_digest(entries.at(0)), alpha.sha256);
  EXPECT_EQ(entries.at(0).at("is_yanked"), false);
  EXPECT_EQ(entries.at(1).at("requested"), false);
}

TEST_F(PipJobsTest, FetchesNoWheelThatIsThereAlready) {
  const auto alpha =
      write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta"}});
  const auto beta = write_wheel(links(), {.name = "beta", .version = "2.0"});
  const auto answer = fetch("alpha\n", {{"have", json::array{alpha.sha256}}});
  EXPECT_EQ(chosen(answer), (std::set<std::string>{"alpha==1.0", "beta==2.0"}));
  EXPECT_EQ(fetched_, std::set{beta.file_name});
}

TEST_F(PipJobsTest, SaysWhatPipSays) {
  write_wheel(links(), {.name = "alpha", .version = "1.0", .requirements = {"beta<2"}});
  write_wheel(links(), {.name = "beta", .version = "1.0"});
  write_wheel(links(), {.name = "beta", .version = "2.0"});
  const auto missing = fetch("alpha==9\n");
  EXPECT_NE(error_of(missing).find("alpha==9 (from versions: 1.0)"), std::string::npos)
      << error_of(missing);
  EXPECT_EQ(missing->value.at("stage"), "resolve");
  const auto conflict = fetch("alpha==1.0\nbeta==2.0\n");
  EXPECT_NE(error_of(conflict).find("conflicting dependencies"), std::string::npos)
      << error_of(conflict);
  EXPECT_NE(conflict->value.at("output").as_string().find("alpha 1.0 depends on beta<2"),
            std::string::npos);
}

TEST_F(PipJobsTest, HashesAreHeld) {
  const auto alpha = write_wheel(links(), {.name = "alpha", .version = "1.0"});
  const json::object hashes{{"require_hashes", true}};
  EXPECT_EQ(error_of(fetch("alpha==1.0 --hash=sha256:" + alpha.sha256 + "\n", hashes)), "");
  const std::string other(64, '0');
  EXPECT_NE(
      error_of(fetch("alpha==1.0 --hash=sha256:" + other + "\n", hashes)).find("DO NOT MATCH"),
      std::string::npos);
  EXPECT_NE(error_of(fetch("alpha==1.0\n", hashes)).find("Hashes are required"), std::string::npos);
}

TEST_F(PipJobsTest, SourceArchivesAreBuiltOnlyWhereThatIsAllowed) {
  const std::vector<ArchiveItem> sources{
      {.name = "gamma-1.0/setup.py",
       .content = "from setuptools import setup\n"
                  "setup(name='gamma', version='1.0', py_modules=['gamma'])\n"},
      {.name = "gamma-1.0/gamma.py", .content = "VALUE = 3\n"},
      {.name = "gamma-1.0/PKG-INFO",
       .content = "Metadata-Version: 1.0\nName: gamma\nVersion: 1.0\n"}};
  write_text(links() / "gamma-1.0.tar.gz", build_archive(ArchiveFormat::kTarGz, sources));
  EXPECT_NE(error_of(fetch("gamma==1.0\n")), "");
  const auto built = fetch("gamma==1.0\n", {{"wheels_only", false}});
  EXPECT_EQ(error_of(built), "");
  EXPECT_EQ(chosen(built), std::set<std::string>{"gamma==1.0"});
  EXPECT_EQ(fetched_, std::set<std::string>{"gamma-1.0-py3-none-any.whl"});
  const auto first = stated_digest(built->value.at("report").at("install").at(0));
  const auto again = fetch("gamma==1.0\n", {{"wheels_only", false}});
  EXPECT_EQ(stated_digest(again->value.at("report").at("install").at(0)), first);
}

TEST_F(PipJobsTest, InstallsCompiledForTheirPlace) {
  const auto wheel = write_wheel(
      links(), {.name = "Alpha.Pkg",
                .version = "1.0",
                .files = {{"alpha/__init__.py", "from . import inner\n"},
                          {"alpha/inner.py", "def fail():\n    raise ValueError(1)\n"},
                          {"alpha/template.py", "this is {{ no }} python\n"},
                          {"alpha_pkg-1.0.data/scripts/tool", "#!python\nprint(1)\n"}}});
  const auto said = install(wheel.file_name, "alpha-1.0-0123");
  ASSERT_TRUE(said) << said.error().describe();
  ASSERT_TRUE(said->contains("ok")) << json::serialize(*said);
  EXPECT_FALSE(fs::exists(store() / "alpha-1.0-0123/bin"));
  const std::string use =
      "  import importlib.machinery, traceback\n"
      "  loader = importlib.machinery.SourceFileLoader\n"
      "  compiled, real = [], loader.source_to_code\n"
      "  def note(self, data, path, **options):\n"
      "    compiled.append(path)\n"
      "    return real(self, data, path, **options)\n"
      "  loader.source_to_code = note\n"
      "  sys.path.append('/var/packages/alpha-1.0-0123')\n"
      "  import alpha\n"
      "  by_import = list(compiled)\n"
      "  try: alpha.inner.fail()\n"
      "  except ValueError as error:\n"
      "    frame = traceback.extract_tb(error.__traceback__)[-1]\n"
      "  try: import alpha.template\n"
      "  except SyntaxError: pass\n"
      "  return {'compiled': by_import, 'control': len(compiled), 'file': frame.filename,\n"
      "          'line': frame.line, 'flags': open(alpha.__cached__, 'rb').read()[4]}\n";
  const auto used = run_script(use);
  ASSERT_TRUE(used) << used.error().describe();
  EXPECT_EQ(json::serialize(used->value.at("compiled")), "[]");
  EXPECT_EQ(used->value.at("control"), 1) << "nothing was counted at all";
  EXPECT_EQ(used->value.at("file"), "/var/packages/alpha-1.0-0123/alpha/inner.py");
  EXPECT_EQ(used->value.at("line"), "raise ValueError(1)");
  EXPECT_EQ(used->value.at("flags"), 1) << "not by hash, unchecked (PEP 552)";
}

TEST_F(PipJobsTest, RefusesWheelsThatReachOut) {
  const auto said =
      why_not({.name = "alpha", .version = "1.0", .files = {{"../../escaped.py", "x"}}});
  EXPECT_NE(said.find("outside the target directory"), std::string::npos) << said;
}

TEST_F(PipJobsTest, RefusesWheelsWithLinks) {
  const auto said =
      why_not({.name = "alpha", .version = "1.0", .links = {{"alpha/passwd", "/etc/passwd"}}});
  EXPECT_EQ(said, "'alpha/passwd' is neither a file nor a folder");
}

TEST_F(PipJobsTest, RefusesWheelsThatWouldFillTheSandbox) {
  const WheelSpec bomb{
      .name = "alpha", .version = "1.0", .files = {{"alpha.bin", std::string(64U << 20, '\0')}}};
  Job job = roomy();
  job.event["most_bytes"] = 32U << 20;
  EXPECT_NE(why_not(bomb, job).find("it unpacks to 6710"), std::string::npos);
  job.event["most_files"] = 3;
  EXPECT_EQ(why_not(bomb, job), "it has 4 files; at most 3 are allowed");
  // And where they are allowed more than there is room.
  job = roomy();
  job.limits.tmp_bytes = 32U << 20;
  const auto full = why_not(bomb, job);
  EXPECT_NE(full.find("No space left on device"), std::string::npos) << full;
  job = roomy();
  job.limits.memory_bytes = 64U << 20;
  const auto starved = why_not(bomb, job);
  EXPECT_NE(starved.find("needed more memory than its limit of 64M"), std::string::npos) << starved;
}

TEST_F(PipJobsTest, RefusesWhatIsNoWheel) {
  write_text(links() / "alpha-1.0-py3-none-any.whl", "no zip");
  const auto said = install("alpha-1.0-py3-none-any.whl", "refused");
  ASSERT_TRUE(said) << said.error().describe();
  EXPECT_NE(said->at("error").as_string().find("no zip archive"), std::string::npos);
}

}  // namespace
}  // namespace sock::manager
