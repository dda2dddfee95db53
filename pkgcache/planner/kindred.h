#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// What is expected beside the functions known now.
struct Unseen {
  double share = 0.2;        ///< part of the calls that come from functions not known yet; below 1
  std::size_t variants = 3;  ///< sets imagined for each known one
  double changed = 0.15;     ///< part of the packages that differ in one
};

/// The demand with sets that resemble the known ones: each lacks some packages (another version
/// stands there, or none) and what depends on them. A tree for these does not put all its
/// memory into sets that only one function has. Deterministic; in the order of demanded_sets().
[[nodiscard]] std::vector<DemandedSet> with_kindred(const Universe& universe,
                                                    std::span<const DemandedSet> demand,
                                                    const Dependencies& dependencies,
                                                    const Unseen& unseen);

}  // namespace sock::pkgcache
