#include "pkgcache/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

using Set = std::vector<Package>;

const Package kNumpy{"numpy", "1.24.2"};
const Package kPandas{"pandas", "1.5.3"};
const Package kPytz{"pytz", "2022.7.1"};
const Package kSix{"six", "1.16.0"};

const ZygoteSpec* node_of(const ZygotePlan& plan, const Set& packages) {
  const auto found = std::ranges::find(plan.nodes, packages, &ZygoteSpec::packages);
  return found == plan.nodes.end() ? nullptr : &*found;
}

void expect_sound(const ZygotePlan& plan) {
  ASSERT_FALSE(plan.nodes.empty());
  EXPECT_TRUE(plan.nodes[0].packages.empty());
  EXPECT_EQ(plan.nodes[0].id, "root");
  EXPECT_EQ(plan.nodes[0].parent, "");
  std::map<std::string, Set> seen;
  std::set<Set> sets;
  for (const ZygoteSpec& node : plan.nodes) {
    EXPECT_TRUE(std::ranges::is_sorted(node.packages)) << node.id;
    EXPECT_TRUE(sets.insert(node.packages).second) << node.id;
    if (&node != &plan.nodes[0]) {
      ASSERT_TRUE(seen.contains(node.parent)) << node.id << " comes before " << node.parent;
      const Set& parent = seen[node.parent];
      EXPECT_LT(parent.size(), node.packages.size());
      EXPECT_TRUE(is_subset(parent, node.packages)) << node.id;
      for (const ZygoteSpec& other : plan.nodes) {
        if (other.packages.size() < node.packages.size() &&
            is_subset(other.packages, node.packages)) {
          EXPECT_LE(other.packages.size(), parent.size()) << node.id << " fits " << other.id;
        }
      }
    }
    EXPECT_TRUE(seen.emplace(node.id, node.packages).second) << node.id;
  }
}

TEST(Plan, AlwaysHasARoot) {
  for (const std::size_t most : {0U, 1U, 5U}) {
    const auto plan = ExactSetPlanner({}, most).plan({});
    expect_sound(plan);
    EXPECT_EQ(plan.nodes.size(), 1U);
  }
  const std::vector<Demand> bare = {{{}, 100}};
  EXPECT_EQ(ExactSetPlanner({}, 5).plan(bare).nodes.size(), 1U);
}

TEST(Plan, ParentIsTheLargestStrictSubset) {
  const std::vector<Demand> demand = {{{kNumpy, kPandas, kPytz}, 3}, {{kNumpy, kPytz}, 2}};
  const auto plan = ExactSetPlanner({{kNumpy}}, 10).plan(demand);
  expect_sound(plan);
  ASSERT_EQ(plan.nodes.size(), 4U);
  EXPECT_EQ(node_of(plan, {kNumpy, kPandas, kPytz})->parent, node_of(plan, {kNumpy, kPytz})->id);
  EXPECT_EQ(node_of(plan, {kNumpy, kPytz})->parent, node_of(plan, {kNumpy})->id);
  EXPECT_EQ(node_of(plan, {kNumpy})->parent, "root");
}

TEST(Plan, VersionsKeepSetsApart) {
  const std::vector<Demand> demand = {{{{"numpy", "1.26.0"}, kPandas}, 1}};
  const auto plan = ExactSetPlanner({{kNumpy}}, 10).plan(demand);
  expect_sound(plan);
  EXPECT_EQ(node_of(plan, {{"numpy", "1.26.0"}, kPandas})->parent, "root");
}

TEST(Plan, ConfiguredSetsComeFirstThenTheMostCalled) {
  const std::vector<Demand> demand = {
      {{kPytz}, 1}, {{kSix}, 5}, {{kPandas}, 2}, {{kPytz}, 2}, {{kNumpy, kSix}, 0}};
  const auto plan = ExactSetPlanner({{kNumpy}}, 4).plan(demand);
  expect_sound(plan);
  ASSERT_EQ(plan.nodes.size(), 4U);
  EXPECT_NE(node_of(plan, {kNumpy}), nullptr);
  EXPECT_NE(node_of(plan, {kSix}), nullptr);
  EXPECT_NE(node_of(plan, {kPytz}), nullptr) << "1 + 2 calls a second are more than 2";
  EXPECT_EQ(node_of(plan, {kPandas}), nullptr);
  // A function that has not been called yet still counts when there is room.
  EXPECT_NE(node_of(ExactSetPlanner({}, 10).plan(demand), {kNumpy, kSix}), nullptr);
}

TEST(Plan, RatesThatAreNoNumbersCountAsNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<Demand> demand = {
      {{kNumpy}, nan}, {{kPandas}, infinity}, {{kPytz}, -4}, {{kSix}, 0.1}};
  const auto plan = ExactSetPlanner({}, 2).plan(demand);
  expect_sound(plan);
  EXPECT_NE(node_of(plan, {kSix}), nullptr);
  EXPECT_EQ(ExactSetPlanner({}, 9).plan(demand).nodes.size(), 5U);
}

TEST(Plan, UnsortedAndRepeatedPackagesAreOneSet) {
  const std::vector<Demand> demand = {{{kSix, kNumpy, kSix}, 1}, {{kNumpy, kSix}, 1}};
  const auto plan = ExactSetPlanner({{kSix, kNumpy}}, 9).plan(demand);
  expect_sound(plan);
  EXPECT_EQ(plan.nodes.size(), 2U);
}

TEST(Plan, ASetThatCannotBeHeldHasNoZygote) {
  const std::vector<Demand> demand = {{{kNumpy, {"numpy", "1.26.0"}}, 9}};
  EXPECT_EQ(ExactSetPlanner({}, 9).plan(demand).nodes.size(), 1U);
}

TEST(Plan, RandomDemandGivesSoundDeterministicCappedPlans) {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same cases on every run
  for (int round = 0; round < 100; ++round) {
    std::vector<Demand> demand;
    for (int function = 0; function < 30; ++function) {
      Demand one;
      for (int package = 0; package < 8; ++package) {
        if (random() % 2 == 0) continue;
        one.packages.push_back({"p" + std::to_string(package), std::to_string(random() % 2)});
      }
      one.rate = static_cast<double>(random() % 100);
      demand.push_back(std::move(one));
    }
    const std::size_t most = 1 + random() % 20;
    const ExactSetPlanner planner({demand[0].packages}, most);
    const auto plan = planner.plan(demand);
    expect_sound(plan);
    EXPECT_LE(plan.nodes.size(), most);
    EXPECT_EQ(planner.plan(demand), plan);
    std::ranges::shuffle(demand, random);
    EXPECT_EQ(planner.plan(demand), plan) << "the order of the functions must not matter";
  }
}

TEST(ZygoteId, IsReadableStableAndShort) {
  EXPECT_EQ(zygote_id({}), "root");
  const std::string id = zygote_id(Set{kNumpy, kPandas});
  // A fixed value: ids appear in logs and metrics over restarts and releases.
  EXPECT_EQ(id, "numpy+pandas-d5060dad");
  EXPECT_NE(zygote_id(Set{{"numpy", "1.26.0"}, kPandas}), id);
  Set many;
  for (int i = 100; i < 140; ++i) many.push_back({"package-" + std::to_string(i), "1"});
  EXPECT_TRUE(zygote_id(many).starts_with("package-100+package-101+package-102+37-"))
      << zygote_id(many);
  for (Package& package : many) package.name = std::string(128, 'x') + package.name;
  EXPECT_LE(zygote_id(many).size(), 64U);
  many.resize(1);
  EXPECT_LE(zygote_id(many).size(), 64U);
}

}  // namespace
}  // namespace sock::pkgcache
