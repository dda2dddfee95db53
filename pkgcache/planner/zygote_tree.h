#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/package_set.h"

namespace sock::pkgcache {

/// A zygote of a planned tree.
struct TreeNode {
  PackageSet packages;     ///< everything it holds; a strict superset of the parent's
  std::size_t parent = 0;  ///< index of the parent; the root's is 0
  std::size_t depth = 0;   ///< 0 for the root
};

/// Parents before children; nodes[0] is the root, which holds no package.
using ZygoteTree = std::vector<TreeNode>;

inline constexpr std::size_t kMaxTreeDepth = 4;

/// Arranges `sets` (distinct, none empty) below a root so that the memory is least: each under the
/// set with the most memory among its strict subsets whose depth is below `max_depth`.
[[nodiscard]] ZygoteTree arrange(std::vector<PackageSet> sets, const PackageSet& empty,
                                 const CostModel& costs, std::size_t max_depth = kMaxTreeDepth);

/// MB of the zygotes that stand beside the root: what each imports and what each costs at all.
[[nodiscard]] double tree_mb(const ZygoteTree& tree, const CostModel& costs);

/// What importing the packages of all nodes takes, each on top of its parent.
[[nodiscard]] double creation_ms(const ZygoteTree& tree, const CostModel& costs);

/// The packages that a node has on top of its parent's.
[[nodiscard]] PackageSet added_packages(const ZygoteTree& tree, std::size_t node);

}  // namespace sock::pkgcache
