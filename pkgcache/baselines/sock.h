#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/package_set.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

/// The import cache of SOCK (USENIX ATC '18), here to be compared with: online, it learns from the
/// calls themselves. A call is served by the zygote that holds most of its packages, by count. When
/// that holds not all of them, a new child of it with the whole set is made; whenever the memory
/// exceeds the budget the leaf with the fewest hits for its size goes. Import times play no part.
class SockCache {
 public:
  /// `costs` must outlive the cache.
  SockCache(const PackageSet& empty, const CostModel& costs, double budget_mb);

  struct Served {
    double service_ms = 0;   ///< clone of the best zygote and the imports it lacks
    double creation_ms = 0;  ///< imports of the zygote made because of this call, 0 when none was
    std::size_t held = 0;    ///< packages that the zygote had
  };
  Served call(const PackageSet& wanted);

  /// The zygotes that stand now, parents before children.
  [[nodiscard]] ZygoteTree tree() const;
  [[nodiscard]] double mb() const { return mb_; }

 private:
  struct Entry {
    PackageSet packages;
    std::uint64_t parent = 0;  ///< id
    std::uint64_t id = 0;
    std::size_t count = 0;
    std::size_t children = 0;
    double mb = 0;  ///< of its own
    double hits = 0;
  };

  [[nodiscard]] std::size_t best_for(const PackageSet& wanted) const;
  Entry& by_id(std::uint64_t id);
  void evict(std::size_t entry);

  const CostModel& costs_;
  double budget_mb_;
  double mb_ = 0;
  std::uint64_t next_id_ = 1;
  std::vector<Entry> entries_;  ///< by id, so parents before children; the root first
};

}  // namespace sock::pkgcache
