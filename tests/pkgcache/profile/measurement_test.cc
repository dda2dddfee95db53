#include "pkgcache/profile/measurement.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds(1'700'000'000)};

MeasureItem item_of(const std::string& name) {
  return {.package = {.name = name, .version = "1.0"}, .path = {}, .first = {}, .modules = {name}};
}

/// An answer with one report, of the package a==1.0.
std::string answer_with(const std::string& fields) {
  return R"({"interpreter":"3.11.2","packages":[{"key":"a==1.0","ended":"")" + fields + "}]}";
}

std::string report(const std::string& ms, const std::string& changes = "[]",
                   const std::string& errors = "[]", const std::string& standard = "[]") {
  return R"(,"ms":)" + ms + R"(,"private_bytes":4096,"vmas":3,"modules":2,"standard_modules":)" +
         standard + R"(,"errors":)" + errors + R"(,"changes":)" + changes;
}

Profile read(const std::string& answer) {
  const std::vector items = {item_of("a")};
  const auto measured = read_measured(answer, items, kNow);
  EXPECT_TRUE(measured) << measured.error().describe();
  if (!measured || measured->profiles.size() != 1) return {};
  return measured->profiles.front();
}

TEST(MeasurementTest, ReadsAReport) {
  const Profile profile =
      read(answer_with(report("1.5", "[]", "[]", R"(["wave","email.policy","wave"])")));
  EXPECT_EQ(profile.package, (Package{.name = "a", .version = "1.0"}));
  EXPECT_EQ(profile.interpreter, "3.11.2");
  EXPECT_EQ(profile.measured_at, kNow);
  EXPECT_EQ(profile.ms, 1.5);
  EXPECT_EQ(profile.private_bytes, 4096U);
  EXPECT_EQ(profile.vmas, 3U);
  EXPECT_EQ(profile.modules, 2U);
  EXPECT_EQ(profile.standard_modules, (std::vector<std::string>{"email.policy", "wave"}));
  EXPECT_EQ(profile.verdict, Verdict::kVetted);
  EXPECT_TRUE(profile.reasons.empty());
}

TEST(MeasurementTest, ValuesOutOfRangeAreClamped) {
  EXPECT_EQ(read(answer_with(report("-3"))).ms, 0);
  EXPECT_EQ(read(answer_with(report("1e300"))).ms, 3.6e6);
  EXPECT_EQ(read(answer_with(report("18446744073709551615"))).ms, 3.6e6);
}

TEST(MeasurementTest, NamesThatAreNoModulesAreLeftOut) {
  const Profile profile =
      read(answer_with(report("1", "[]", "[]", R"(["a b","\u001b[2J","ok","","é"])")));
  EXPECT_EQ(profile.standard_modules, std::vector<std::string>{"ok"});
}

TEST(MeasurementTest, AMissingPackageEndedTheProcess) {
  const Profile profile = read(R"({"interpreter":"3.11.2","packages":[]})");
  EXPECT_EQ(profile.verdict, Verdict::kQuarantined);
  EXPECT_EQ(profile.reasons, std::vector<std::string>{"ends the process"});
}

TEST(MeasurementTest, BadReportsQuarantine) {
  const std::string bad[] = {
      report("\"1\""),
      report("null"),
      report("1", R"(["thread"])"),
      report("1", R"([["thread",1]])"),
      report("1", "{}"),
      report("1", "[]", "[1]"),
      report("1", "[]", "[]", "null"),
      R"(,"ms":1)",
      "",
  };
  for (const auto& fields : bad) {
    const Profile profile = read(answer_with(fields));
    EXPECT_EQ(profile.verdict, Verdict::kQuarantined) << fields;
    EXPECT_EQ(profile.reasons.size(), 1U) << fields;
  }
}

TEST(MeasurementTest, ReasonsAreBoundedAndPrintable) {
  std::string changes;
  for (int i = 0; i < 1000; ++i) {
    changes += R"(["environment","\u001b[2J)" + std::to_string(i) + "\"],";
  }
  changes.back() = ']';
  const Profile profile = read(answer_with(report("1", "[" + changes)));
  EXPECT_EQ(profile.verdict, Verdict::kQuarantined);
  EXPECT_EQ(profile.reasons.size(), kMostReasons);
  EXPECT_EQ(profile.reasons.front(), "changes the environment variable \"\\x1b[2J0\"");
}

TEST(MeasurementTest, AnswersThatCannotBeReadAreErrors) {
  const std::vector items = {item_of("a")};
  const std::string bad[] = {"",
                             "[]",
                             "{}",
                             R"({"interpreter":"x"})",
                             R"({"interpreter":"","packages":[]})",
                             R"({"interpreter":"a\u0007","packages":[]})",
                             R"({"interpreter":")" + std::string(1000, 'x') + R"(","packages":[]})",
                             R"({"interpreter":1,"packages":[]})",
                             R"({"interpreter":"x","packages":[]} more)",
                             std::string(100'000, '[')};
  for (const auto& answer : bad) {
    const auto measured = read_measured(answer, items, kNow);
    ASSERT_FALSE(measured) << answer.substr(0, 80);
    EXPECT_EQ(measured.error().code, Code::kInvalid);
  }
}

}  // namespace
}  // namespace sock::pkgcache
