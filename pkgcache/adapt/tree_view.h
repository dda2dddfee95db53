#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "pkgcache/adapt/measured_packages.h"
#include "pkgcache/plan.h"
#include "pkgcache/planner/cost_model.h"

namespace sock::pkgcache {

/// A zygote for people: what it is there for.
struct NodeView {
  std::string id;
  std::string parent;
  std::vector<Package> added;         ///< on top of the parent's
  std::uint64_t predicted_bytes = 0;  ///< of its own; 0 for the root
  double share = 0;                   ///< of all calls, those that it serves best; 0 … 1
  double saved_ms_per_call = 0;       ///< against the root
  double saved_ms_per_s = 0;          ///< of all its calls together
};

/// In the order of `plan`. `demand` in calls a second. Packages that are not in `packages` count as
/// free. Pure.
[[nodiscard]] std::vector<NodeView> view_tree(const ZygotePlan& plan,
                                              std::span<const Demand> demand,
                                              const MeasuredPackages& packages,
                                              const CostParameters& costs);

}  // namespace sock::pkgcache
