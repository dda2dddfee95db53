#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace sock::netns {

/// A place in the address plan while a sandbox has it.
struct Slot {
  std::uint16_t number = 0;
  /// 1…65535, another one for each owner of the place: its conntrack zone, so that what the kernel
  /// remembers of the previous owner's connections is not taken for this one's.
  std::uint16_t turn = 1;
};

/// Hands out places, each to one at a time, the longest unused first, and none again before its
/// quarantine is over: packets to the previous owner may be on their way still.
class SlotPool {
 public:
  static constexpr Millis kQuarantine{10'000};
  /// At a time: a Linux bridge has no more ports (BR_MAX_PORTS, less one).
  static constexpr std::size_t kMostTaken = 1023;

  explicit SlotPool(std::uint16_t size, Millis quarantine = kQuarantine);

  /// kRejected when kMostTaken are taken, or all the others are in quarantine; says which.
  [[nodiscard]] Result<Slot> take(Clock::time_point now);

  /// Another turn at a place that stays taken.
  void renew(Slot& slot);

  /// `slot` was taken, and is given back once.
  void give_back(Slot slot, Clock::time_point now);

  [[nodiscard]] std::size_t taken() const { return turns_.size() - free_.size(); }

 private:
  [[nodiscard]] std::uint16_t next_turn(std::uint16_t number);

  struct Free {
    std::uint16_t number = 0;
    Clock::time_point from;
  };

  Millis quarantine_;
  std::vector<std::uint16_t> turns_;  // latest of each place
  std::deque<Free> free_;             // by time
};

}  // namespace sock::netns
