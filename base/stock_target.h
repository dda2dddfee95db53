#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sock {

/// How many things a stock should hold ready, from the demand it sees: parked clones, network
/// namespaces. Quick to grow, slow to shrink: a clone too many costs memory, a clone too few costs
/// a caller milliseconds.
///
/// What is wanted is what is taken while a clone is being made, with headroom, and on top what a
/// burst takes at once, which grows with the square root of the rate as chance does. Where that
/// guess was wrong, a call finds nothing: then the stock at least doubles, and a burst of misses
/// adds one for each. It shrinks in steps, only after a while without a miss.
///
/// Pure: no clock of its own, no I/O. Times must not go backwards. Not thread safe.
class StockTarget {
 public:
  /// `min` wins where it is above `max`.
  StockTarget(std::uint32_t min, std::uint32_t max) : min_(min), max_(max), level_(min) {}

  void set_min(std::uint32_t min) { min_ = min; }
  [[nodiscard]] std::uint32_t min() const { return min_; }

  /// A call took a clone, or found none (`hit` false); or several did, lately.
  void taken(Clock::time_point now, bool hit, std::uint32_t times = 1);

  /// A clone was ready `took` after it was needed.
  void made(Micros took);

  /// Clones to hold now.
  [[nodiscard]] std::uint32_t wanted(Clock::time_point now);
  /// The latest answer of wanted(), or what a miss has made of it.
  [[nodiscard]] std::uint32_t level() const { return level_; }

  /// Calls a second, over the last few seconds.
  [[nodiscard]] double rate(Clock::time_point now) const;

 private:
  [[nodiscard]] std::uint32_t most() const { return max_ > min_ ? max_ : min_; }
  [[nodiscard]] std::uint32_t needed(Clock::time_point now) const;
  void missed(Clock::time_point now);

  std::uint32_t min_;
  std::uint32_t max_;
  std::uint32_t level_;
  double rate_ = 0;  ///< at `rate_at_`
  Clock::time_point rate_at_{};
  double make_seconds_ = 0.005;   ///< smoothed; a guess at first
  Clock::time_point burst_at_{};  ///< first miss of the latest burst
  std::uint32_t burst_from_ = 0;  ///< the level it met
  std::uint32_t burst_misses_ = 0;
  Clock::time_point next_step_{};  ///< of shrinking
};

}  // namespace sock
