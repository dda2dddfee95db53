#pragma once

#include <cstddef>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

/// Finds the zygote that serves a function best, exactly. Immutable: safe to use from any thread.
///
/// Since costs add up, what a zygote saves does not depend on the function: the best is the one
/// that saves most among those whose packages the function all has. Each zygote is filed under
/// one of its packages, the one that fewest zygotes hold, so that only those filed under the
/// function's own packages are looked at.
class BestMatch {
 public:
  BestMatch() : BestMatch({}, {}) {}
  BestMatch(const ZygoteTree& tree, const CostModel& costs);
  /// `sets[0]` is the root's, which is empty; `saved_ms`: what each saves a call against the root.
  BestMatch(std::vector<PackageSet> sets, std::vector<double> saved_ms);

  /// Index of the best node; the first of equals, and 0, the root, when none saves anything.
  [[nodiscard]] std::size_t find(const PackageSet& wanted) const;

  /// What a call saves by `node` against the root, in ms.
  [[nodiscard]] double saved_ms(std::size_t node) const { return saved_[node]; }

 private:
  struct Filed {
    double saved_ms;
    std::size_t node;
  };

  std::vector<PackageSet> sets_;
  std::vector<double> saved_;
  std::vector<std::vector<Filed>> by_package_;  ///< those that save most first
};

}  // namespace sock::pkgcache
