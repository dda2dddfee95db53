#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

/// What a tree is worth to a workload, as the cost model has it.
struct Judgement {
  double mean_ms = 0;  ///< service: clone and the imports still missing, by rate
  double p99_ms = 0;
  double uncached_ms = 0;           ///< mean if every call were cloned from the root
  double mb = 0;                    ///< of the zygotes beside the root
  double hit_ratio = 0;             ///< packages found loaded, of all that the calls need
  double creation_ms_per_call = 0;  ///< imports of zygotes made because of calls
  std::size_t nodes = 1;            ///< with the root

  /// What a call saves per MB spent; 0 when nothing is.
  [[nodiscard]] double saved_ms_per_mb() const { return mb > 0 ? (uncached_ms - mean_ms) / mb : 0; }
};

/// Calls and milliseconds by node of a tree.
struct NodeUse {
  double share = 0;     ///< of all calls, those that this node serves
  double saved_ms = 0;  ///< by a call that it serves, against the root, mean
};

/// The service times of a workload, to be asked for mean and percentile.
class ServiceTimes {
 public:
  void add(double ms, double rate);
  [[nodiscard]] double mean() const { return rate_ > 0 ? total_ / rate_ : 0; }
  /// The least time that at least this part (0 … 1) of the calls do not exceed.
  [[nodiscard]] double percentile(double part) const;

 private:
  std::vector<std::pair<double, double>> times_;  ///< ms, rate
  double total_ = 0;
  double rate_ = 0;
};

using Lookup = std::function<std::size_t(const PackageSet&)>;

/// Judges a tree that stays as it is. `lookup` gives the node that serves a set, one whose
/// packages it all has.
[[nodiscard]] Judgement judge(const ZygoteTree& tree, std::span<const DemandedSet> workload,
                              const CostModel& costs, const Lookup& lookup);

[[nodiscard]] std::vector<NodeUse> node_use(const ZygoteTree& tree,
                                            std::span<const DemandedSet> workload,
                                            const CostModel& costs, const Lookup& lookup);

}  // namespace sock::pkgcache
