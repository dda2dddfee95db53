#pragma once

#include <string>

#include "base/error.h"
#include "bench/netns_bench.h"
#include "bench/starters.h"

namespace sock::bench {

/// One round of one method with so many starts let go at the same moment, again and again: into
/// the samples under start_key(), by two clocks in nanoseconds.
///
/// own: what one start pays for its network: from its starter's first instruction until its socket
///      is bound, and with kPooled the lease() before. All waiting for the kernel's locks
///      included, waiting for a processor (Start::queued) left out.
/// all: from the moment that all were let go until its socket is bound: what one in a crowd on
///      few processors sees, most of which is waiting for its turn. kNone is its floor.
///
/// What was started is kept until the round's last start has been measured, and then the kernel is
/// given the time to take all of it apart, so that no start pays for another's end.
[[nodiscard]] Result<> measure_starts(NetnsBench& bench, Starters& starters, Method method,
                                      unsigned concurrency);

/// "start.pooled.64.own", with .p50_us, .p90_us, .p99_us and .max_us.
[[nodiscard]] std::string start_key(Method method, unsigned concurrency, const std::string& clock);

}  // namespace sock::bench
