#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sock::pkgcache {

struct ParkedLimits {
  std::uint64_t budget_bytes = std::uint64_t{512} << 20U;  ///< of all parked clones together
  std::uint32_t most = 64;                                 ///< of one zygote
  double refill_ms = 10;  ///< from a parked clone being taken to its successor being parked
  /// Least saving, in ms of latency per second and MB, for which one more is kept.
  double least_density = 0.01;
};

/// A zygote whose clones may be parked.
struct ParkedDemand {
  double rate = 0;      ///< calls a second that it serves; 0 for one that only has children
  double clone_ms = 0;  ///< what a call waits when none is parked
  std::uint64_t clone_bytes = 0;  ///< of one parked clone
};

/// How many clones of each zygote to keep parked so that calls wait least within the budget: one
/// for each zygote that is called, while there is room, then wherever the next one spares most per
/// byte. Calls are taken to come at random and clones to be replaced independently, so that a call
/// finds none with Erlang's loss probability. Pure.
[[nodiscard]] std::vector<std::uint32_t> plan_parked(std::span<const ParkedDemand> zygotes,
                                                     const ParkedLimits& limits);

/// Erlang's B formula: the part of calls that find none of `parked` clones, when `load` of them
/// are being replaced on average (rate × refill time).
[[nodiscard]] double erlang_loss(std::uint32_t parked, double load);

}  // namespace sock::pkgcache
