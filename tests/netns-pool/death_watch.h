#pragma once

#include <cstddef>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"

namespace sock::netns::testing {

/// Learns of the end of network namespaces from the kernel, through the ids that a namespace of
/// its own gives them (RTM_NEWNSID, RTM_DELNSID in rtnetlink(7)).
class DeathWatch {
 public:
  [[nodiscard]] static Result<DeathWatch> create();

  /// Does not keep the namespace alive.
  [[nodiscard]] Result<> watch(int netns);
  [[nodiscard]] std::size_t watched() const { return static_cast<std::size_t>(next_id_); }

  /// Takes in what has happened and returns how many of the watched are still alive.
  [[nodiscard]] Result<std::size_t> alive(Millis wait);

 private:
  explicit DeathWatch(Fd events, Fd requests)
      : events_(std::move(events)), requests_(std::move(requests)) {}

  Fd events_;
  Fd requests_;
  int next_id_ = 0;
  std::set<int> alive_;
};

}  // namespace sock::netns::testing
