#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/judge.h"
#include "pkgcache/planner/tree_planner.h"
#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

enum class Algorithm { kNone, kForkLift, kSock, kOurs };

/// "none", "forklift", "sock", "ours".
[[nodiscard]] std::string_view to_string(Algorithm algorithm);
[[nodiscard]] std::optional<Algorithm> algorithm_of(std::string_view name);

struct Comparison {
  TreeLimits limits;
  /// Of the online algorithm: calls drawn from the planned workload to learn from, then from the
  /// judged one; it goes on learning from those.
  std::size_t learning_calls = 10'000;
  std::size_t judged_calls = 10'000;
  std::uint64_t seed = 1;
};

struct Compared {
  ZygoteTree tree;  ///< of the online algorithm: as it stands after learning
  Judgement judgement;
  std::vector<NodeUse> use;
};

/// Plans for one workload with the algorithm and judges it by another, the tree looked up as the
/// algorithm does. Pure and deterministic.
[[nodiscard]] Compared compare(Algorithm algorithm, const Universe& universe,
                               std::span<const DemandedSet> planned,
                               std::span<const DemandedSet> judged, const CostModel& costs,
                               const Comparison& comparison);

}  // namespace sock::pkgcache
