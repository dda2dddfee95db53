#pragma once

#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace sock::manager {

/// Tells from the length of the queue before a node's zygotes whether there should be one more or
/// one less of them. Pure: times are given. Not thread safe.
class ZygoteLoad {
 public:
  /// `waiting` requests wait for their turn at the least busy zygote. True when it has been so for
  /// long enough that one more is worth its memory; ask again only after grown().
  [[nodiscard]] bool observe(std::size_t waiting, Clock::time_point now) {
    if (waiting > 0) busy_at_ = now;
    if (waiting < kQueue) {
      // One short wait is no queue, and no end of one either.
      if (waiting == 0) queue_since_.reset();
      return false;
    }
    if (!queue_since_) queue_since_ = now;
    return now - *queue_since_ >= kSustained;
  }

  /// Another zygote has been started, or could not be: begins to watch anew.
  void grown(Clock::time_point now) {
    queue_since_.reset();
    busy_at_ = now;
  }

  /// Nobody has waited for a while: one less will do. Once for each such while.
  [[nodiscard]] bool take_quiet(Clock::time_point now) {
    if (now - busy_at_ < kQuiet) return false;
    busy_at_ = now;
    return true;
  }

 private:
  static constexpr std::size_t kQueue = 2;
  static constexpr Millis kSustained{250};
  static constexpr Millis kQuiet{60'000};

  std::optional<Clock::time_point> queue_since_;
  Clock::time_point busy_at_{};
};

}  // namespace sock::manager
