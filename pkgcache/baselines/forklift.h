#pragma once

#include <cstddef>
#include <span>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

/// A tree as ForkLift grows it (its version 3: import times as weights, several packages a node),
/// here to be compared with. From the root down: of all nodes the best split is made next, which
/// takes from a node the calls that need some package and gives them to a new child that holds it
/// and what it needs; best is calls × ms. It bounds the number of nodes and knows neither memory
/// nor what a clone costs; the number taken is the largest whose tree fits the budget.
struct ForkLiftLimits {
  double budget_mb = 200;
  std::size_t max_nodes = 100'000;
  std::size_t max_depth = 30;  ///< its own bound
};

/// Nodes in the order they were made, which is the order of lookups among brothers.
[[nodiscard]] ZygoteTree forklift_tree(const Universe& universe,
                                       std::span<const DemandedSet> demand,
                                       const Dependencies& dependencies, const CostModel& costs,
                                       const ForkLiftLimits& limits);

/// As ForkLift serves a call: depth first, the first child that fits, then its first child that
/// does, and so on.
class FirstMatch {
 public:
  explicit FirstMatch(const ZygoteTree& tree);
  [[nodiscard]] std::size_t find(const PackageSet& wanted) const;

 private:
  std::vector<PackageSet> sets_;
  std::vector<std::vector<std::size_t>> children_;
};

}  // namespace sock::pkgcache
