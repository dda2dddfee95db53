#pragma once

#include <array>
#include <string>

#include "base/error.h"
#include "bench/netns_bench.h"

namespace sock::bench {

/// Leases a second, whatever becomes of the ones before; 0: the next as soon as the one before has
/// been served.
inline constexpr std::array kLeaseRates{250U, 500U, 1000U, 2000U, 0U};

/// Leases at this rate for `seconds`, each used once and given up at once, with the pool at its
/// defaults refilling behind and the kernel taking apart. Under sustained_key():
///
/// .p50_us… of the leases, served or not; .per_s served; .missed_percent had to wait; .rejected
/// .dry_after, .dry_ms: leases and time until the first one that had to wait, if one had to
/// .backlog_ms: how long the kernel goes on taking apart afterwards
[[nodiscard]] Result<> measure_sustained(NetnsBench& bench, unsigned rate);

/// "sustained.500"
[[nodiscard]] std::string sustained_key(unsigned rate);

}  // namespace sock::bench
