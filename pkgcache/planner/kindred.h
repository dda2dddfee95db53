#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// What is expected beside the functions known now.
struct Unseen {
  double share = 0.2;  ///< part of the calls that come from functions not known yet, 0 … 1
  /// How many of a set's functions are chance, as in absolute discounting: of n known functions
  /// with the same set, n less this speak for the next one having it too; 0 … 1.
  double discount = 0.8;
  double dropped = 0.4;     ///< part of what a known function asks for and an imagined one does not
  double added = 0.5;       ///< how likely that asks for one thing more, and then for another
  std::size_t sets = 6000;  ///< how many are imagined, about; one for each known set at least
  /// Packages of known functions looked at for what is asked for, most; bounds the time.
  std::size_t members = 60'000;
};

/// The demand with sets for functions not known yet. What a function asks for are the packages that
/// nothing else in its set needs. An imagined one asks for some of what a known one does, and for
/// something that others ask for: combinations that no known function has, of packages that
/// are asked for. The calls they get are taken from the known sets, most from those that only one
/// function has. Deterministic; in the order of demanded_sets().
[[nodiscard]] std::vector<DemandedSet> with_kindred(const Universe& universe,
                                                    std::span<const DemandedSet> demand,
                                                    const Dependencies& dependencies,
                                                    const Unseen& unseen);

}  // namespace sock::pkgcache
