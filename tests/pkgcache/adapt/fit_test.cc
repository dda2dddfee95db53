#include <gtest/gtest.h>

#include "pkgcache/adapt/decision.h"
#include "pkgcache/adapt/fit_world.h"
#include "pkgcache/adapt/tree_fit.h"
#include "pkgcache/adapt/tree_view.h"
#include "tests/pkgcache/adapt/adapt_world.h"

namespace sock::pkgcache {
namespace {

WantedSet wanted(SetId id, const std::vector<std::string>& names, double rate) {
  return {id, std::make_shared<const std::vector<Package>>(packages_of(names)), rate};
}

TEST(UsablePart, LeavesOutWhatIsUnknownAndAllThatNeedsIt) {
  MeasuredPackages measured;
  measured[{"a", "1"}] = {1, 1, 0, {"b"}};
  measured[{"b", "1"}] = {1, 1, 0, {"c", "not-there"}};
  measured[{"c", "1"}] = {1, 1, 0, {}};
  measured[{"d", "1"}] = {1, 1, 0, {"a"}};
  EXPECT_EQ(usable_part(packages_of({"d", "c", "b", "a"}), measured),
            packages_of({"a", "b", "c", "d"}));
  EXPECT_EQ(usable_part(packages_of({"a", "b", "c==2", "d"}), measured), packages_of({}));
  EXPECT_EQ(usable_part(packages_of({"c", "e"}), measured), packages_of({"c"}));
  EXPECT_TRUE(usable_part({{"c", "1"}, {"c", "2"}}, measured).empty());
  // The same version of another wheel is another package.
  EXPECT_TRUE(usable_part({{"c", "1", std::string(64, 'a')}}, measured).empty());
}

class TreeFitTest : public ::testing::Test {
 protected:
  TreeFitTest() {
    measured_[{"a", "1"}] = {100, 10, 0, {}};
    measured_[{"b", "1"}] = {50, 5, 0, {}};
    measured_[{"c", "1"}] = {10, 5, 0, {}};
    const std::vector<WantedSet> sets = {wanted(1, {"a", "b"}, 2), wanted(2, {"a", "c"}, 1),
                                         wanted(3, {"unknown"}, 5)};
    world_ = std::make_shared<const FitWorld>(sets, std::vector<std::vector<Package>>{}, measured_,
                                              CostParameters{{0, 0, 0}, 4, 1});
    limits_ = {100, 10, 4, 10, 1, 0};
  }
  [[nodiscard]] PackageSet set(const std::vector<std::string>& names) const {
    return world_->universe.set_of(packages_of(names));
  }

  MeasuredPackages measured_;
  std::shared_ptr<const FitWorld> world_;
  FitLimits limits_;
};

TEST_F(TreeFitTest, CountsWhatNodesSaveAndCost) {
  TreeFit fit(world_);
  fit.add({set({"a", "b"}), false, false});
  fit.add({set({"a"}), true, false});
  fit.add({set({"a"}), false, false});
  EXPECT_EQ(fit.size(), 2U);
  EXPECT_DOUBLE_EQ(fit.saved_ms_per_s(), 2 * 150 + 1 * 100);
  EXPECT_DOUBLE_EQ(fit.creation_ms(7), 7 + 50);
  EXPECT_DOUBLE_EQ(fit.worth(limits_), 10 * 400 - 50);
  const std::size_t d = world_->index.at(2);
  EXPECT_DOUBLE_EQ(fit.saved_ms(d), 100);
  EXPECT_DOUBLE_EQ(fit.savable_ms(d), 110);
}

TEST_F(TreeFitTest, TrimsToTheBudgetWhatSavesLeast) {
  TreeFit fit(world_);
  fit.add({set({"a"}), false, false});
  fit.add({set({"a", "b"}), false, false});
  fit.add({set({"a", "c"}), false, false});
  TreeFit all = fit;
  all.trim(limits_);
  EXPECT_EQ(all.size(), 3U);
  limits_.budget_mb = 11 + 6;
  fit.trim(limits_);
  ASSERT_EQ(fit.size(), 2U);
  EXPECT_EQ(fit.node(0).packages, set({"a"}));
  EXPECT_EQ(fit.node(1).packages, set({"a", "b"}));
  limits_.max_nodes = 1;
  fit.trim(limits_);
  EXPECT_EQ(fit.size(), 1U);
}

TEST_F(TreeFitTest, DropsWhatIsNotWorthMaking) {
  TreeFit fit(world_);
  fit.add({set({"a"}), true, false});
  fit.add({set({"a", "c"}), false, false});
  limits_.start_ms = 200;  // 10 ms a second for 10 s
  fit.trim(limits_);
  ASSERT_EQ(fit.size(), 1U);
  EXPECT_EQ(fit.node(0).packages, set({"a"}));
  // Alive and of use it stays, without demand it goes.
  fit.add({set({"a", "c"}), true, false});
  fit.trim(limits_);
  EXPECT_EQ(fit.size(), 2U);
  fit.set_rates(std::vector<double>(world_->demand.size(), 0));
  fit.trim(limits_);
  EXPECT_EQ(fit.size(), 0U);
}

TEST_F(TreeFitTest, AParentThatItsChildrenStandOnSparesMemory) {
  TreeFit fit(world_);
  fit.add({set({"a"}), true, false});
  fit.add({set({"a", "b"}), true, false});
  fit.add({set({"a", "c"}), true, false});
  // Without the parent 2 × 11 + 5 + 5 + …: it goes last though no call needs it.
  limits_.budget_mb = 11 + 6 + 6;
  fit.trim(limits_);
  EXPECT_EQ(fit.size(), 3U);
}

TEST_F(TreeFitTest, ThePlanPutsParentsFirstAndParksWhereCallsCome) {
  TreeFit fit(world_);
  fit.add({set({"a", "c"}), false, false});
  fit.add({set({"a", "b"}), false, false});
  fit.add({set({"a"}), false, false});
  const ZygotePlan plan = to_plan(fit, 4);
  ASSERT_EQ(plan.nodes.size(), 4U);
  EXPECT_EQ(plan.nodes[1].packages, packages_of({"a"}));
  EXPECT_EQ(plan.nodes[2].packages, packages_of({"a", "b"}));
  EXPECT_EQ(plan.nodes[3].parent, plan.nodes[1].id);
  const auto parked = to_parked(fit, plan, {}, [](const std::string&) { return 1U << 20U; });
  EXPECT_GE(parked.at("root"), 1U);
  EXPECT_EQ(parked.at(plan.nodes[1].id), 0U);
  EXPECT_GE(parked.at(plan.nodes[2].id), 1U);
  EXPECT_GE(parked.at(plan.nodes[3].id), 1U);

  const std::vector<Demand> demand = {
      {packages_of({"a", "b"}), 2}, {packages_of({"a", "c"}), 1}, {packages_of({"unknown"}), 5}};
  const auto view = view_tree(plan, demand, measured_, world_->costs.parameters());
  ASSERT_EQ(view.size(), 4U);
  EXPECT_DOUBLE_EQ(view[0].share, 5.0 / 8);
  EXPECT_EQ(view[0].predicted_bytes, 0U);
  EXPECT_DOUBLE_EQ(view[1].share, 0);
  EXPECT_EQ(view[2].added, packages_of({"b"}));
  EXPECT_EQ(view[2].parent, plan.nodes[1].id);
  EXPECT_EQ(view[2].predicted_bytes, 6U << 20U);
  EXPECT_DOUBLE_EQ(view[2].saved_ms_per_call, 150);
  EXPECT_DOUBLE_EQ(view[2].saved_ms_per_s, 300);
}

}  // namespace
}  // namespace sock::pkgcache
