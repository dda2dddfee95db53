#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/pkgcache/cold_path.h"
#include "bench/pkgcache/trees.h"
#include "bench/samples.h"
#include "bench/targets_table.h"

namespace sock::bench {

/// What the model expects of a contender, under "NAME.expected_mean_ms" and so on.
void add_expectation(const std::string& name, const Expectation& expected, Samples& samples);

/// Two tables, a line a contender: times, expected next to executed, and what they cost.
[[nodiscard]] std::string contender_tables(std::span<const Contender> contenders, std::size_t calls,
                                           const Samples& samples);

/// What was aimed at: against ForkLift and SOCK, of the adaptive tree, and of the cold path.
[[nodiscard]] std::vector<TargetRow> pkgcache_rows(const Samples& samples, double budget_mb,
                                                   const std::optional<ColdPath>& cold);

/// One line a call.
[[nodiscard]] std::string describe(const ColdPath& cold);

}  // namespace sock::bench
