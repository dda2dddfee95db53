#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "bench/round.h"

namespace sock::bench {

/// Closed-loop load on sockd: every client keeps one connection open and sends its next call as
/// soon as it has the answer to the last.
struct LoadSpec {
  std::string socket;
  std::string function;
  unsigned clients = 1;
  Millis settle{300};   ///< calls before the window opens; not counted
  Millis window{3000};  ///< only calls that begin and end in it count
  /// CPU time of the daemon so far, in microseconds; may be empty.
  std::function<std::optional<double>()> daemon_cpu;
  const std::atomic<bool>* stop = nullptr;  ///< leave early
};

/// What a function must answer to prove that its sandbox is fresh (see noop_source()).
inline constexpr const char* kFreshAnswer = "1";

/// A handler that counts its calls in a module global after importing `package` (may be empty).
/// Only in a process nobody used before is its answer kFreshAnswer: any other counts as an error.
[[nodiscard]] std::string noop_source(const std::string& package);

/// Runs the load in the calling thread. Failed calls are counted, never fatal.
[[nodiscard]] Round drive(const LoadSpec& spec);

}  // namespace sock::bench
