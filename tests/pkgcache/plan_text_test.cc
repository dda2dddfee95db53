#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/popularity.h"
#include "tests/pkgcache/plan_world.h"

namespace sock::pkgcache {
namespace {

constexpr const char* kHeader = "fn,direct,closure\n";

std::string problem_of(const std::string& text) {
  const auto parsed = parse_functions(text, "f.csv");
  return parsed ? "" : parsed.error().message;
}

TEST(FunctionsText, ReadsFunctions) {
  const auto parsed = parse_functions(
      "fn,direct,closure,rate\r\n"
      "1,Flask==2.3.3,click==8.1.7  Flask==2.3.3,2.5\r\n"
      "\r\n"
      "\"two, quoted\",,,0",
      "f.csv");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 2U);
  EXPECT_EQ((*parsed)[0].packages, (std::vector<Package>{{"click", "8.1.7"}, {"flask", "2.3.3"}}));
  EXPECT_EQ((*parsed)[0].rate, 2.5);
  EXPECT_EQ((*parsed)[1].name, "two, quoted");
  EXPECT_TRUE((*parsed)[1].packages.empty());
}

TEST(FunctionsText, NamesFileAndLine) {
  const std::string good = "1,a==1,a==1\n";
  for (const auto& [line, needle] :
       std::vector<std::pair<std::string, std::string>>{{"1,a==1,a==1", "'1' is given twice"},
                                                        {"2,a==1", "2 fields"},
                                                        {"2,a==1,a==1,9", "4 fields"},
                                                        {"2,a==1,b==1", "lacks a==1"},
                                                        {"2,,a==1 a==2", "two versions of a"},
                                                        {"2,,a==1 A==1", "a==1 is given twice"},
                                                        {"2,,a>=1", "'a>=1' is not name==version"},
                                                        {"2,,a==", "not name==version"},
                                                        {"2,,==1", "not name==version"},
                                                        {"2,,a===1", "not name==version"},
                                                        {"2,,../x==1", "not name==version"},
                                                        {",,a==1", "without a name"},
                                                        {"\"2,,a==1", "does not end"},
                                                        {"\"2\"x,,a==1", "after a closing quote"},
                                                        {"2,,\x1b[31m==1", "'?[31m==1'"}}) {
    const std::string problem = problem_of(kHeader + good + line);
    EXPECT_EQ(problem.rfind("f.csv:3: ", 0), 0U) << line << ": " << problem;
    EXPECT_NE(problem.find(needle), std::string::npos) << line << ": " << problem;
  }
  EXPECT_EQ(problem_of("").rfind("f.csv:1: ", 0), 0U);
  EXPECT_EQ(problem_of("name,closure\n").rfind("f.csv:1: the header", 0), 0U);
  EXPECT_NE(problem_of("fn,direct,closure\n\xff,,\n").find("UTF-8"), std::string::npos);
  for (const char* rate : {"-1", "nan", "inf", "x", "", "1e300", "1 2"}) {
    EXPECT_NE(problem_of(std::string("fn,direct,closure,rate\n1,,a==1,") + rate).find("rate"),
              std::string::npos)
        << rate;
  }
}

TEST(FunctionsText, RefusesWhatIsHuge) {
  std::string many = kHeader;
  for (int i = 0; i < 20'001; ++i) many += std::to_string(i) + ",,a==1\n";
  EXPECT_NE(problem_of(many).find("more than 20000 functions"), std::string::npos);
  std::string wide = std::string(kHeader) + "1,,";
  for (int i = 0; i < 2'001; ++i) wide += "p" + std::to_string(i) + "==1 ";
  EXPECT_NE(problem_of(wide).find("f.csv:2: too many packages"), std::string::npos);
  std::string diverse = kHeader;
  for (int i = 0; i < 5'001; ++i) {
    diverse += std::to_string(i) + ",,p" + std::to_string(i) + "==1\n";
  }
  EXPECT_NE(problem_of(diverse).find("different packages"), std::string::npos);
  EXPECT_NE(problem_of(kHeader + std::string(1 << 20, 'x')), "");
}

std::string costs_problem(const std::string& text) {
  const auto parsed = parse_costs(text, "c.json");
  return parsed ? "" : parsed.error().message;
}

TEST(CostsText, ReadsCosts) {
  const auto parsed = parse_costs(
      R"({"Foo_Bar": {"name": "x", "versions": {"1": {"cost": {"ms": 2, "mb": 0.5, "i-ms": 9}},
          "2": {"top": []}, "3": {"cost": null}}}, "b": {"versions": {}}})",
      "c.json");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 1U);
  EXPECT_EQ(parsed->at("foo-bar").size(), 1U);
  EXPECT_EQ(parsed->at("foo-bar").at("1").ms, 2);
  EXPECT_EQ(parsed->at("foo-bar").at("1").mb, 0.5);
}

TEST(CostsText, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(costs_problem("{\n\n\"a\": nope}").rfind("c.json:3: not JSON", 0), 0U);
  EXPECT_EQ(costs_problem("").rfind("c.json:1: not JSON", 0), 0U);
  EXPECT_EQ(costs_problem("{} {}").rfind("c.json:1: not JSON", 0), 0U);
  EXPECT_EQ(costs_problem("[]").rfind("c.json: an object", 0), 0U);
  EXPECT_NE(costs_problem(std::string(100'000, '[')), "");
  EXPECT_EQ(costs_problem(R"({"a": 1})").rfind("c.json: a: ", 0), 0U);
  EXPECT_EQ(costs_problem(R"({"a": {"versions": {"1": 1}}})").rfind("c.json: a==1: ", 0), 0U);
  EXPECT_NE(costs_problem(R"({"../a": {"versions": {}}})").find("not a package's name"),
            std::string::npos);
  EXPECT_NE(costs_problem(R"({"a-b": {"versions": {"1": {"cost": {"ms": 1, "mb": 1}}}},
                              "a_b": {"versions": {}}})")
                .find("given twice"),
            std::string::npos);
  for (const char* cost : {R"({"ms": -1, "mb": 1})", R"({"ms": 1e300, "mb": 1})", R"({"ms": 1})",
                           R"({"ms": "1", "mb": 1})", R"(7)", R"({"ms": 1, "mb": 1e9})"}) {
    EXPECT_NE(costs_problem(std::string(R"({"a": {"versions": {"1": {"cost": )") + cost + "}}}}"),
              "")
        << cost;
  }
}

TEST(Popularity, IsSharedByTheSameSet) {
  std::vector<Function> planned;
  std::vector<Function> judged;
  for (int i = 0; i < 50; ++i) {
    const std::string set = "p" + std::to_string(i / 2);
    (i % 2 == 0 ? planned : judged).push_back(function_of(std::to_string(i), {set}));
  }
  make_zipf(planned, judged, 1, 4);
  double total = 0;
  for (std::size_t i = 0; i < planned.size(); ++i) {
    total += planned[i].rate + judged[i].rate;
    // Neighbours in rank.
    EXPECT_NEAR(std::abs(1 / planned[i].rate - 1 / judged[i].rate), 1, 1e-9);
  }
  double harmonic = 0;
  for (int rank = 1; rank <= 50; ++rank) harmonic += 1.0 / rank;
  EXPECT_NEAR(total, harmonic, 1e-9);
  const auto before = planned;
  make_zipf(planned, judged, 1, 5);
  EXPECT_FALSE(std::ranges::equal(before, planned, {}, &Function::rate, &Function::rate));
  make_zipf(planned, judged, 0, 5);
  EXPECT_EQ(planned[3].rate, 1);
}

TEST(Popularity, SplitsByName) {
  std::vector<Function> functions;
  for (int i = 0; i < 1000; ++i) functions.push_back(function_of(std::to_string(i), {"a"}));
  const Halves halves = split_by_name(functions, 1);
  EXPECT_EQ(halves.planned.size() + halves.judged.size(), 1000U);
  EXPECT_NEAR(static_cast<double>(halves.planned.size()), 500, 80);
  EXPECT_NE(split_by_name(functions, 2).planned.size(), 0U);
}

}  // namespace
}  // namespace sock::pkgcache
