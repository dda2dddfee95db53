#pragma once

#include <atomic>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "bench/round.h"

namespace sock::bench {

/// Low load on sockd: one call at a time over one kept connection, with a pause before each, so
/// that what is made ahead of demand is there again.
struct PacedSpec {
  std::string socket;
  std::string function;
  std::string event = "{}";
  std::string answer;  ///< the only body that is right; empty = any
  std::string start;   ///< the X-Sock-Start whose calls are timed
  unsigned calls = 400;
  Millis pause{20};
  const std::atomic<bool>* stop = nullptr;  ///< leave early
};

/// Times `calls` calls, after ten in a row that started as wanted. One that started otherwise is
/// counted in `starts` but not timed, and the stock is given time to be full again. Wrong answers
/// are counted, not fatal.
///
/// kTimeout when no call starts as wanted for half a minute.
[[nodiscard]] Result<Round> drive_paced(const PacedSpec& spec);

}  // namespace sock::bench
