#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "manager/calls/call.h"
#include "netns-pool/netns_pool.h"

namespace sock::manager {

/// The daemon's figures in Prometheus' text format:
///   sock_invocations_total{function,status,start}   status: "ok" or the error's code
///   sock_invocation_duration_seconds{phase}         queue, create, init, run, total
///   sock_sandboxes{state}                           parked, running, dying
///   sock_zygotes{packages}, sock_zygote_memory_bytes{packages}
///   sock_netns_pool{class,state}                    ready, kept, leased, target, low, high, most
///                                                   and totals since the start: leases_total, …
///   sock_netns_burned_total{class,reason}           used namespaces that were not handed on
///   sock_queue_depth
///   sock_rejected_total{reason}
/// The number of label values is bounded: those beyond it count as "other". Not thread safe.
class Metrics {
 public:
  static constexpr std::size_t kMaxFunctions = 1000;
  static constexpr std::size_t kMaxZygotes = 256;
  static constexpr std::size_t kMaxReasons = 16;

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// Counts one finished call; well under 2 µs. Calls of functions that do not exist (not_found)
  /// count as function "other", so that made-up names leave no trace. Phases that a call without a
  /// sandbox never entered are not observed.
  void record(const CallRecord& call);

  struct Sandboxes {
    std::uint64_t parked = 0;
    std::uint64_t running = 0;
    std::uint64_t dying = 0;
  };
  void set_sandboxes(const Sandboxes& counts);

  struct Zygote {
    std::string packages;  ///< comma separated; "" is the bare interpreter
    std::uint64_t memory_bytes = 0;
  };
  /// All zygotes there are; several with the same packages are added up. Packages that are no
  /// longer named disappear.
  void set_zygotes(std::span<const Zygote> zygotes);

  /// Of one network class, "none" or "nat".
  void set_netns(std::string_view network, const netns::PoolStats& stats);

  void set_queue_depth(std::uint64_t waiting);

  /// Counts one refused call; `reason` is a fixed word of the code, e.g. "queue_full".
  void rejected(std::string_view reason);

  [[nodiscard]] std::string text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sock::manager
