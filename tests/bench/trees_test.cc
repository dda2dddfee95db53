#include "bench/pkgcache/trees.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace sock::bench {
namespace {

Sample sample() {
  pkgcache::CostTable table;
  table["a"]["1"] = {100, 10};
  table["b"]["1"] = {50, 5};
  table["c"]["1"] = {10, 20};
  const std::vector<pkgcache::Function> functions{
      {.name = "1", .packages = {{"a", "1"}}},
      {.name = "2", .packages = {{"a", "1"}, {"b", "1"}}},
      {.name = "3", .packages = {{"c", "1"}}},
  };
  return draw_sample(functions, table, {.functions = 3}).value();
}

const Contender& named(const std::vector<Contender>& contenders, const std::string& name) {
  return *std::ranges::find(contenders, name, &Contender::name);
}

TEST(Contenders, KeepWithinTheBudget) {
  const auto drawn = sample();
  for (const auto& contender : plan_contenders(drawn, 20, 1)) {
    EXPECT_LE(expect(drawn, contender.tree, {}).memory_mb, 20) << contender.name;
    EXPECT_EQ(contender.tree.size() > 1, contender.name != "none") << contender.name;
  }
}

TEST(Contenders, AreExpectedToPayTheMissingImports) {
  const auto drawn = sample();
  const auto contenders = plan_contenders(drawn, 100, 1);
  const std::vector<std::size_t> calls{0, 1, 2};
  const auto none = expect(drawn, named(contenders, "none").tree, calls);
  const auto ours = expect(drawn, named(contenders, "ours").tree, calls);
  EXPECT_NEAR(none.mean_ms, (100 + 150 + 10) / 3.0, 1);
  EXPECT_EQ(none.hit_ratio, 0);
  EXPECT_EQ(none.creation_ms, 0);
  EXPECT_LT(ours.mean_ms, 1);  // all of it fits
  EXPECT_EQ(ours.hit_ratio, 1);
  EXPECT_NEAR(ours.creation_ms, 160, 0.001);
}

TEST(Contenders, ConfiguredOnesNameTheirSets) {
  const auto drawn = sample();
  const auto contenders = plan_contenders(drawn, 100, 1);
  const auto& ours = named(contenders, "ours");
  const auto text = config_of(ours, drawn, {.wheels = "/wheels", .budget_mb = 100, .history = 7});
  EXPECT_NE(text.find("find_links = [\"/wheels\"]"), std::string::npos) << text;
  EXPECT_NE(text.find("plan = \"configured\""), std::string::npos) << text;
  EXPECT_NE(text.find("memory = \"100M\""), std::string::npos) << text;
  EXPECT_NE(text.find("max = " + std::to_string(ours.tree.size()) + "\n"), std::string::npos);
  EXPECT_NE(text.find("  [\"synthetic-a==1\", \"synthetic-b==1\"],\n"), std::string::npos) << text;
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '[')),
            4 + ours.tree.size())  // three sections, two lists, and all nodes but the root
      << text;
}

TEST(Contenders, AnAdaptiveOneStartsWithNothing) {
  const auto drawn = sample();
  const auto contenders = plan_contenders(drawn, 100, 1);
  const auto text = config_of(named(contenders, "adaptive"), drawn, {.wheels = "/wheels"});
  EXPECT_NE(text.find("plan = \"measured\""), std::string::npos) << text;
  EXPECT_NE(text.find("sets = []"), std::string::npos) << text;
  EXPECT_EQ(text.find("synthetic"), std::string::npos) << text;
}

}  // namespace
}  // namespace sock::bench
