#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/samples.h"
#include "bench/user_namespace.h"

namespace sock::bench {

struct NetnsOptions {
  std::string helper;  ///< path of sock-netns
  std::string json;    ///< file for the result; empty = none
  unsigned rounds = 5;
  std::vector<unsigned> concurrency{1, 2, 4, 8, 16, 32, 64, 128};
  unsigned starts = 256;  ///< of each method at each concurrency a round, at least
  unsigned leases = 1000;
  unsigned namespaces = 512;  ///< whose memory and end are measured
  double seconds = 1;         ///< of leases at each rate
};

/// What the measurements share. In the main thread.
struct NetnsBench {
  NetnsOptions options;
  const std::atomic<bool>& interrupted;
  UserNamespace users;
  /// Network namespaces of `users` at rest, the counter's own apart.
  std::size_t at_rest = 0;
  Samples samples;

  /// Waits until no others are left, half a minute at most.
  [[nodiscard]] Result<Clock::time_point> settle() {
    return users.await_drained(at_rest, Millis(30'000));
  }
};

}  // namespace sock::bench
