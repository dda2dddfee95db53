#pragma once

#include <cmath>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace sock::manager {

/// Which functions are called often: calls of the last minutes, older ones counting less (halved
/// every minute). Bounded by the number of functions: forget() those that are removed. Not thread
/// safe.
class Heat {
 public:
  void record(const std::string& function, Clock::time_point now) {
    Calls& calls = calls_[function];
    calls.count = decayed(calls, now) + 1;
    calls.at = now;
  }

  /// Called at least every few seconds for a while, or in a burst.
  [[nodiscard]] bool hot(const std::string& function, Clock::time_point now) const {
    return count(function, now) >= kHot;
  }
  /// Hardly called any more; far below hot, so that a function does not flip between the two.
  [[nodiscard]] bool cold(const std::string& function, Clock::time_point now) const {
    return count(function, now) < kCold;
  }

  void forget(const std::string& function) { calls_.erase(function); }

 private:
  struct Calls {
    double count = 0;
    Clock::time_point at{};
  };

  static constexpr double kHot = 8;
  static constexpr double kCold = 0.5;
  static constexpr double kHalfLifeSeconds = 60;

  static double decayed(const Calls& calls, Clock::time_point now) {
    const double age = std::chrono::duration<double>(now - calls.at).count();
    return calls.count * std::exp2(-age / kHalfLifeSeconds);
  }

  [[nodiscard]] double count(const std::string& function, Clock::time_point now) const {
    const auto found = calls_.find(function);
    return found == calls_.end() ? 0 : decayed(found->second, now);
  }

  std::unordered_map<std::string, Calls> calls_;
};

}  // namespace sock::manager
