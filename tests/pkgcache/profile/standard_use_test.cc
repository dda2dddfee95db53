#include "pkgcache/profile/standard_use.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace sock::pkgcache {
namespace {

const std::map<std::string, ModuleCost> kCosts = {{"email", {.ms = 4, .mb = 0.5}},
                                                  {"wave", {.ms = 1, .mb = 0.25}},
                                                  {"decimal", {.ms = 8, .mb = 4}},
                                                  {"ssl", {.ms = 9, .mb = 1}}};
constexpr RootBudget kAmple{.ms = 100, .mb = 100};

std::vector<std::string> names(const std::vector<StandardChoice>& choices) {
  std::vector<std::string> out;
  for (const auto& choice : choices) out.push_back(choice.module);
  return out;
}

TEST(StandardUseTest, RanksBySavedTimeForMemory) {
  const std::vector<StandardUse> uses = {{.modules = {"email", "decimal"}, .rate = 1},
                                         {.modules = {"email", "wave", "wave"}, .rate = 3}};
  const auto choices = standard_use(uses, kCosts, kAmple);
  ASSERT_EQ(names(choices), (std::vector<std::string>{"email", "wave", "decimal"}));
  EXPECT_DOUBLE_EQ(choices[0].share, 1);
  EXPECT_DOUBLE_EQ(choices[0].saved_ms, 4);
  EXPECT_DOUBLE_EQ(choices[1].share, 0.75);
  EXPECT_DOUBLE_EQ(choices[2].saved_ms, 2);
}

TEST(StandardUseTest, KeepsToTheBudget) {
  const std::vector<StandardUse> uses = {
      {.modules = {"email", "ssl", "wave", "decimal"}, .rate = 1}};
  EXPECT_EQ(names(standard_use(uses, kCosts, {.ms = 100, .mb = 1.5})),
            (std::vector<std::string>{"ssl", "email"}));
  EXPECT_EQ(names(standard_use(uses, kCosts, {.ms = 5, .mb = 100})),
            (std::vector<std::string>{"email", "wave"}));
  EXPECT_TRUE(standard_use(uses, kCosts, {}).empty());
}

TEST(StandardUseTest, LeavesOutWhatFewNeed) {
  const std::vector<StandardUse> uses = {{.modules = {"email"}, .rate = 9},
                                         {.modules = {"ssl"}, .rate = 1}};
  EXPECT_EQ(names(standard_use(uses, kCosts, {.ms = 100, .mb = 100, .least_share = 0.2})),
            std::vector<std::string>{"email"});
}

TEST(StandardUseTest, BadRatesAndUnknownModulesCountAsNone) {
  const std::vector<StandardUse> uses = {{.modules = {"wave", "unheard_of"}, .rate = 1},
                                         {.modules = {"ssl"}, .rate = std::nan("")},
                                         {.modules = {"ssl"}, .rate = -1}};
  EXPECT_EQ(names(standard_use(uses, kCosts, kAmple)), std::vector<std::string>{"wave"});
  EXPECT_TRUE(standard_use({}, kCosts, kAmple).empty());
}

}  // namespace
}  // namespace sock::pkgcache
