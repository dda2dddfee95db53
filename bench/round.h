#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sock::bench {

/// What one system did in one timed window.
struct Round {
  std::vector<std::int64_t> latencies_us;       ///< of the calls that succeeded, unordered
  std::map<std::string, std::uint64_t> errors;  ///< kind → count
  std::map<std::string, std::uint64_t> starts;  ///< X-Sock-Start → count
  double seconds = 0;                           ///< length of the window
  double machine_cpu_us = 0;                    ///< busy time of all processors, client included
  std::optional<double> own_cpu_us;             ///< of the system measured alone, where it is known
};

/// The figures of one round.
struct Figures {
  double calls = 0;
  double errors = 0;
  double calls_per_s = 0;
  double p50_us = 0;
  double p90_us = 0;
  double p99_us = 0;
  double machine_cpu_us = 0;  ///< per call
  double own_cpu_us = -1;     ///< per call; negative when unknown
};

/// Nearest-rank percentiles. A round without a successful call has only `errors`.
[[nodiscard]] Figures figures_of(Round round);

/// By nearest rank, of sorted values of which there is at least one.
[[nodiscard]] double percentile(const std::vector<std::int64_t>& sorted, double fraction);

/// Of an even number of values the mean of the middle two; 0 of none.
[[nodiscard]] double median(std::vector<double> values);

/// Field by field the median, so that one disturbed round does not move the result.
[[nodiscard]] Figures median_of(const std::vector<Figures>& rounds);

}  // namespace sock::bench
