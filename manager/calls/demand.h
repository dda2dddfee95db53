#pragma once

#include <cmath>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace sock::manager {

/// Calls a second of each function, older calls counting less (halved every ten minutes). Bounded
/// by the number of deployed functions: forget() those that are removed. Not thread safe.
class DemandTracker {
 public:
  void record(const std::string& function, Clock::time_point now) {
    Rate& rate = rates_[function];
    rate.value = decayed(rate, now) + 1 / kSeconds;
    rate.at = now;
  }

  [[nodiscard]] double rate(const std::string& function, Clock::time_point now) const {
    const auto found = rates_.find(function);
    return found == rates_.end() ? 0 : decayed(found->second, now);
  }

  void forget(const std::string& function) { rates_.erase(function); }

 private:
  struct Rate {
    double value = 0;
    Clock::time_point at{};
  };

  /// Mean life of a call's weight: a half-life of 600 s.
  static constexpr double kSeconds = 600 / 0.693;

  static double decayed(const Rate& rate, Clock::time_point now) {
    const double age = std::chrono::duration<double>(now - rate.at).count();
    return rate.value * std::exp(-age / kSeconds);
  }

  std::unordered_map<std::string, Rate> rates_;
};

}  // namespace sock::manager
