#include "bench/pkgcache/sample.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sock::bench {
namespace {

pkgcache::CostTable table() {
  pkgcache::CostTable out;
  out["a"]["1"] = {10, 1};
  out["a"]["2"] = {20, 2};
  out["b"]["1"] = {30, 3};
  return out;
}

std::vector<pkgcache::Function> functions() {
  return {{.name = "1", .packages = {{"a", "1"}}},
          {.name = "2", .packages = {{"a", "2"}, {"b", "1"}}},
          {.name = "3", .packages = {{"b", "2"}}},  // of unknown cost
          {.name = "4", .packages = {}},            // nothing to import
          {.name = "5", .packages = {{"a", "1"}, {"b", "1"}}}};
}

TEST(Sample, HasOnlyFunctionsWhosePackagesHaveCosts) {
  const auto sample = draw_sample(functions(), table(), {.functions = 3});
  ASSERT_TRUE(sample);
  std::vector<std::string> names;
  for (const auto& function : sample->functions) names.push_back(function.name);
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"f1", "f2", "f5"}));
}

TEST(Sample, PackagesHaveNamesOfTheirOwnAndTheirCosts) {
  const auto sample = draw_sample(functions(), table(), {.functions = 3});
  ASSERT_TRUE(sample);
  EXPECT_EQ(sample->universe.size(), 3U);
  const auto found = sample->universe.find({"synthetic-a", "2"});
  ASSERT_TRUE(found);
  EXPECT_EQ(sample->costs.package_ms(*found), 20);
  EXPECT_EQ(sample->costs.package_mb(*found), 2);
  EXPECT_EQ(sample->costs.unknown(), 0U);
}

TEST(Sample, TooFewFunctionsAreRefused) {
  const auto sample = draw_sample(functions(), table(), {.functions = 4});
  ASSERT_FALSE(sample);
  EXPECT_EQ(sample.error().code, Code::kInvalid);
}

TEST(Sample, TheSameSeedDrawsTheSame) {
  const auto names = [](std::uint64_t seed) {
    const auto sample = draw_sample(functions(), table(), {.functions = 2, .seed = seed});
    std::string out;
    for (const auto& function : sample->functions) out += function.name;
    return out;
  };
  EXPECT_EQ(names(3), names(3));
  bool differ = false;
  for (std::uint64_t seed = 1; seed < 20; ++seed) differ = differ || names(seed) != names(1);
  EXPECT_TRUE(differ);
}

TEST(Calls, AreDrawnByRate) {
  std::vector<pkgcache::Function> called(3);
  called[0].rate = 1;
  called[1].rate = 0;
  called[2].rate = 3;
  const auto calls = draw_calls(called, 10'000, 1);
  EXPECT_EQ(calls.size(), 10'000U);
  EXPECT_EQ(std::ranges::count(calls, 1U), 0);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(calls, 2U)), 7500, 200);
  EXPECT_EQ(calls, draw_calls(called, 10'000, 1));
  EXPECT_NE(calls, draw_calls(called, 10'000, 2));
}

}  // namespace
}  // namespace sock::bench
