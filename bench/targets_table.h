#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/host.h"
#include "bench/samples.h"

namespace sock::bench {

/// One figure held against its target.
struct TargetRow {
  std::string id;  ///< "1", "2", … of the list of targets
  std::string what;
  std::string measured;
  std::string target;
  std::optional<bool> met;  ///< empty: could not be measured, and `measured` says why
  std::string baselines;    ///< of the same run
};

struct TargetReport {
  Host host;
  unsigned rounds = 0;
  bool complete = true;  ///< false when interrupted
  std::vector<TargetRow> rows;
  std::string legend;  ///< below the table: lines that explain it
};

/// For a person: the machine, the table with its legend, and every kind of start and error seen.
[[nodiscard]] std::string as_table(const TargetReport& report, const Samples& samples);

/// The same for programs, with every round's values; times are microseconds where a key says _us.
[[nodiscard]] std::string as_json(const TargetReport& report, const Samples& samples);

/// "61 us", or "n/a".
[[nodiscard]] std::string in_us(std::optional<double> micros);

/// "1.25" with `decimals`, or "n/a".
[[nodiscard]] std::string in_digits(std::optional<double> value, int decimals = 0);

/// Whether value <= limit; empty when either is missing.
[[nodiscard]] std::optional<bool> at_most(std::optional<double> value, std::optional<double> limit);

/// value * factor + offset of what was measured; empty when it was not.
[[nodiscard]] std::optional<double> scaled(std::optional<double> value, double factor,
                                           double offset = 0);

/// Both; a missing one is missing.
[[nodiscard]] std::optional<bool> both(std::optional<bool> a, std::optional<bool> b);

}  // namespace sock::bench
