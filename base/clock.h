#pragma once

#include <chrono>

namespace sock {

/// CLOCK_MONOTONIC everywhere: wall-clock jumps must not move a deadline.
using Clock = std::chrono::steady_clock;
using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;

[[nodiscard]] inline std::int64_t micros_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<Micros>(to - from).count();
}

}  // namespace sock
