#include "cli/packages_plan.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>

#include "cli/megabytes.h"
#include "tests/cli/command_line.h"

namespace sock::cli {
namespace {

namespace json = boost::json;

constexpr const char* kFunctions =
    "fn,direct,closure\n"
    "a,pandas==2.1.0,numpy==1.26.0 pandas==2.1.0\n"
    "b,numpy==1.26.0,numpy==1.26.0\n"
    "c,requests==2.31.0,requests==2.31.0\n";
constexpr const char* kCosts =
    R"({"numpy": {"versions": {"1.26.0": {"cost": {"ms": 45, "mb": 4}}}},
        "pandas": {"versions": {"2.1.0": {"cost": {"ms": 250, "mb": 9}}}},
        "requests": {"versions": {"2.31.0": {"cost": {"ms": 10, "mb": 1}}}}})";

class PackagesPlan : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/sock-plan-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder_ = pattern;
    functions_ = write("functions.csv", kFunctions);
    costs_ = write("costs.json", kCosts);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  Ran plan(const std::vector<std::string>& more = {}) {
    std::vector<std::string> args = {"packages", "plan",    "--functions",
                                     functions_, "--costs", costs_};
    args.insert(args.end(), more.begin(), more.end());
    return sockctl(args);
  }
  json::object document(std::vector<std::string> more = {}) {
    more.insert(more.end(), {"-o", "json"});
    const Ran ran = plan(more);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    json::error_code error;
    const json::value value = json::parse(ran.out, error);
    return value.is_object() ? value.as_object() : json::object();
  }

  std::filesystem::path folder_;
  std::string functions_;
  std::string costs_;
};

TEST_F(PackagesPlan, DrawsTheTree) {
  const Ran ran = plan();
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  EXPECT_NE(ran.out.find("python"), std::string::npos);
  EXPECT_NE(ran.out.find("├── numpy==1.26.0"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("│   └── pandas==2.1.0"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("└── requests==2.31.0"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("a call, p99:"), std::string::npos);
}

TEST_F(PackagesPlan, TellsEverythingAsJson) {
  const auto plan = document();
  const auto& zygotes = plan.at("zygotes").as_array();
  ASSERT_EQ(zygotes.size(), 4U);
  EXPECT_EQ(zygotes[0].at("id").as_string(), "root");
  EXPECT_EQ(zygotes[0].at("parent").as_string(), "");
  double share = 0;
  for (const auto& zygote : zygotes) share += zygote.at("calls").as_double();
  EXPECT_NEAR(share, 1, 1e-9);
  const auto& judged = plan.at("judgement");
  EXPECT_NEAR(judged.at("uncached_ms").as_double(), (295.0 + 45 + 10) / 3, 1);
  EXPECT_LT(judged.at("mean_ms").as_double(), 1);
  EXPECT_EQ(judged.at("hit_ratio").as_double(), 1);
  EXPECT_NEAR(judged.at("mb").as_double(), 14 + 3, 1e-6);
}

TEST_F(PackagesPlan, KeepsToTheBudget) {
  const auto plan = document({"--budget", "6M"});
  EXPECT_LE(plan.at("judgement").at("mb").as_double(), 6);
  EXPECT_EQ(plan.at("budget_mb").as_double(), 6);
  EXPECT_EQ(document({"--budget", "0K"}).at("zygotes").as_array().size(), 1U);
}

TEST_F(PackagesPlan, ComparesAlgorithms) {
  for (const char* algorithm : {"ours", "sock", "forklift", "none"}) {
    const auto plan = document({"--algorithm", algorithm, "--zipf", "1.1"});
    EXPECT_EQ(plan.at("algorithm").as_string(), algorithm);
    const double mean = plan.at("judgement").at("mean_ms").as_double();
    const double none = plan.at("judgement").at("uncached_ms").as_double();
    if (std::string(algorithm) == "none") {
      EXPECT_NEAR(mean, none, 1e-9);
    } else {
      EXPECT_LT(mean, none) << algorithm;
    }
  }
}

TEST_F(PackagesPlan, JudgesByOtherFunctions) {
  const std::string others = write("others.csv",
                                   "fn,direct,closure\n"
                                   "z,pandas==2.1.0,numpy==9.9 pandas==2.1.0 mystery==1\n");
  const Ran ran = plan({"--evaluate", others});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.err.find("1 of 5 packages are not in " + costs_), std::string::npos) << ran.err;
  const auto judged = document({"--evaluate", others}).at("judgement");
  EXPECT_EQ(judged.at("hit_ratio").as_double(), 0);
}

TEST_F(PackagesPlan, MistakesNameFileAndLine) {
  const std::string bad = write("bad.csv", std::string(kFunctions) + "d,x,x\n");
  const Ran wrong = sockctl({"packages", "plan", "--functions", bad, "--costs", costs_});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_EQ(wrong.out, "");
  EXPECT_NE(wrong.err.find(bad + ":5: 'x' is not name==version"), std::string::npos) << wrong.err;

  const std::string broken = write("broken.json", "{\n\"a\"\n");
  const Ran json = sockctl({"packages", "plan", "--functions", functions_, "--costs", broken});
  EXPECT_EQ(json.exit, 2);
  EXPECT_NE(json.err.find(broken + ":"), std::string::npos) << json.err;

  const Ran judged = plan({"--evaluate", bad});
  EXPECT_EQ(judged.exit, 2);
  EXPECT_NE(judged.err.find(bad + ":5:"), std::string::npos);

  const Ran absent = plan({"--evaluate", "/nonexistent/x.csv"});
  EXPECT_EQ(absent.exit, 2);
  EXPECT_NE(absent.err.find("/nonexistent/x.csv"), std::string::npos);
  EXPECT_EQ(plan({"--evaluate", folder_.string()}).exit, 2);
}

TEST_F(PackagesPlan, UsageIsChecked) {
  EXPECT_EQ(sockctl({"packages", "plan"}).exit, 2);
  EXPECT_EQ(plan({"--algorithm", "magic"}).exit, 2);
  EXPECT_EQ(plan({"--zipf", "-1"}).exit, 2);
  EXPECT_EQ(plan({"--zipf", "x"}).exit, 2);
  EXPECT_EQ(plan({"extra"}).exit, 2);
  const Ran budget = plan({"--budget", "many"});
  EXPECT_EQ(budget.exit, 2);
  EXPECT_NE(budget.err.find("as in 200M"), std::string::npos) << budget.err;
  const Ran help = sockctl({"packages", "plan", "--help"});
  EXPECT_EQ(help.exit, 0);
  EXPECT_NE(help.out.find("Example:\n  sockctl packages plan"), std::string::npos);
}

TEST_F(PackagesPlan, NeedsNoDaemonButTheListDoes) {
  EXPECT_EQ(plan({"--socket", "/nonexistent/s"}).exit, 0);
  EXPECT_EQ(sockctl({"packages", "--socket", "/nonexistent/s"}).exit, 3);
}

TEST_F(PackagesPlan, HostileTextDoesNotReachTheTerminal) {
  const std::string evil =
      write("evil.csv", "fn,direct,closure\n1,,numpy==1.26.0\x1b[2J\n2,,numpy==1.26.0\n");
  const Ran ran = sockctl({"packages", "plan", "--functions", evil, "--costs", costs_}, "", true);
  EXPECT_EQ((ran.out + ran.err).find('\x1b'), std::string::npos);
}

TEST(Megabytes, HaveAUnit) {
  EXPECT_EQ(parse_megabytes("200M"), 200);
  EXPECT_EQ(parse_megabytes("1.5G"), 1536);
  EXPECT_EQ(parse_megabytes("512K"), 0.5);
  EXPECT_EQ(parse_megabytes("0M"), 0);
  for (const char* text : {"", "M", "200", "-1M", "nanM", "infM", "1e3M", "20MB", "1 M", "M1",
                           "99999999999999G", "0x10M", "+1M", " 1M"}) {
    EXPECT_FALSE(parse_megabytes(text)) << text;
  }
}

}  // namespace
}  // namespace sock::cli
