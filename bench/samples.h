#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bench/round.h"

namespace sock::bench {

/// One value a round and key, as "1.bare.p50_us"; the median over the rounds counts.
class Samples {
 public:
  void add(const std::string& key, double value) { values_[key].push_back(value); }

  /// KEY.p50_us, KEY.p90_us, KEY.p99_us, KEY.max_us of one round's latencies in nanoseconds; none
  /// adds none.
  void add_nanoseconds(const std::string& key, std::vector<std::int64_t> latencies);

  /// KEY.p50_us, KEY.p99_us, KEY.calls and KEY.calls_per_s of a round, and its counts of starts
  /// and errors.
  void add_round(const std::string& key, Round round);

  /// A measurement that could not be made.
  void add_error(const std::string& key, const std::string& what) { ++errors_[key][what]; }

  /// Empty when nothing was measured under this key.
  [[nodiscard]] std::optional<double> median(const std::string& key) const;

  /// The values under this key from the smallest to the largest; empty when there are none.
  [[nodiscard]] std::optional<std::pair<double, double>> range(const std::string& key) const;

  using Counts = std::map<std::string, std::map<std::string, std::uint64_t>>;
  [[nodiscard]] const std::map<std::string, std::vector<double>>& values() const { return values_; }
  [[nodiscard]] const Counts& starts() const { return starts_; }  ///< key → X-Sock-Start → calls
  [[nodiscard]] const Counts& errors() const { return errors_; }  ///< key → what → calls

 private:
  std::map<std::string, std::vector<double>> values_;
  Counts starts_;
  Counts errors_;
};

}  // namespace sock::bench
