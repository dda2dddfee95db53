#include "pkgcache/adapt/tree_proposal.h"

#include <algorithm>
#include <utility>

#include "pkgcache/planner/tree_planner.h"

namespace sock::pkgcache {

namespace {

ZygoteTree ideal_tree(const FitWorld& world, const FitLimits& limits, double unseen) {
  TreeLimits plan;
  plan.budget_mb = limits.budget_mb;
  plan.max_depth = limits.max_depth;
  plan.unseen.share = unseen;
  const Dependencies dependencies(world.universe, world.demand);
  return plan_tree(world.universe, world.demand, dependencies, world.costs, plan);
}

void add_all(TreeFit& fit, const std::vector<PackageSet>& sets, bool alive, bool pinned) {
  for (const PackageSet& set : sets) fit.add({set, alive, pinned});
}

}  // namespace

std::shared_ptr<TreeController::Proposal> TreeController::plan(const Snapshot& snapshot) {
  std::vector<std::vector<Package>> pinned;
  for (const auto& set : snapshot.pinned) pinned.push_back(usable_part(set, *snapshot.packages));
  auto others = snapshot.live;
  others.insert(others.end(), pinned.begin(), pinned.end());
  const auto world =
      std::make_shared<const FitWorld>(snapshot.wanted, others, *snapshot.packages, snapshot.costs);
  const auto sets_of = [&](const std::vector<std::vector<Package>>& all) {
    std::vector<PackageSet> out;
    for (const auto& packages : all) {
      // One that holds what it must not is no node any more.
      PackageSet set = world->universe.set_of(packages);
      if (set.count() == packages.size()) out.push_back(std::move(set));
    }
    return out;
  };
  const auto live = sets_of(snapshot.live);
  const auto always = sets_of(pinned);
  std::vector<PackageSet> ideal;
  for (TreeNode& node : ideal_tree(*world, snapshot.limits, snapshot.unseen)) {
    ideal.push_back(std::move(node.packages));
  }

  // The tree as it is, the ideal one, and the best of both: none of these is always worth most.
  TreeFit kept(world);
  add_all(kept, always, false, true);
  TreeFit made = kept;
  add_all(kept, live, true, false);
  TreeFit both = kept;
  add_all(made, ideal, false, false);
  add_all(both, ideal, false, false);
  // What is alive and part of the ideal tree costs nothing.
  for (const PackageSet& set : live) {
    if (std::ranges::find(ideal, set) != ideal.end()) made.add({set, true, false});
    if (std::ranges::find(always, set) != always.end()) made.add({set, true, true});
  }
  TreeFit* best = &kept;
  for (TreeFit* fit : {&kept, &both, &made}) {
    fit->trim(snapshot.limits);
    if (fit->worth(snapshot.limits) > best->worth(snapshot.limits)) best = fit;
  }
  return std::make_shared<Proposal>(Proposal{std::move(*best), snapshot.basis});
}

}  // namespace sock::pkgcache
