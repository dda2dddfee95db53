#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "pkgcache/planner/candidates.h"
#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/kindred.h"
#include "pkgcache/planner/workload.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

struct TreeLimits {
  double budget_mb = 200;  ///< the root stands whatever this is, and is not counted
  std::size_t max_depth = kMaxTreeDepth;
  Unseen unseen;
  CandidateLimits candidates;
  std::size_t most_sets = 4000;  ///< demanded sets that count, those that cost the callers most
  /// Most work of the local search, in its own units: about 10 million a tenth of a second.
  std::uint64_t search_work = 6'000'000;
};

/// The tree that saves the callers most within the budget, as near as greedy choice by saved time
/// per MB and a local search (drop some, fill up again) come to it; NP-hard exactly. Every node
/// is closed under `dependencies` and free of conflicts. Pure and deterministic: the same
/// arguments give the same tree on every host; safe from any thread.
[[nodiscard]] ZygoteTree plan_tree(const Universe& universe, std::span<const DemandedSet> demand,
                                   const Dependencies& dependencies, const CostModel& costs,
                                   const TreeLimits& limits);

}  // namespace sock::pkgcache
