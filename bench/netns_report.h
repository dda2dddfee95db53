#pragma once

#include "bench/netns_bench.h"
#include "bench/targets_table.h"

namespace sock::bench {

/// Start latency against concurrency, by both clocks (netns_starts.h), and how many times faster a
/// pooled start is: medians over the rounds, with the range of p99.
[[nodiscard]] std::string starts_table(const NetnsBench& bench);

/// What is held against a target, and what is only told.
[[nodiscard]] std::vector<TargetRow> netns_rows(const NetnsBench& bench);

}  // namespace sock::bench
