#include "bench/round.h"

#include <algorithm>
#include <cmath>

namespace sock::bench {

double percentile(const std::vector<std::int64_t>& sorted, double fraction) {
  const auto rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  const auto index = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return static_cast<double>(sorted[std::min(index, sorted.size() - 1)]);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

Figures figures_of(Round round) {
  Figures out;
  for (const auto& [kind, count] : round.errors) out.errors += static_cast<double>(count);
  auto& latencies = round.latencies_us;
  if (latencies.empty()) return out;
  std::sort(latencies.begin(), latencies.end());
  out.calls = static_cast<double>(latencies.size());
  out.calls_per_s = out.calls / round.seconds;
  out.p50_us = percentile(latencies, 0.50);
  out.p90_us = percentile(latencies, 0.90);
  out.p99_us = percentile(latencies, 0.99);
  out.machine_cpu_us = round.machine_cpu_us / out.calls;
  if (round.own_cpu_us) out.own_cpu_us = *round.own_cpu_us / out.calls;
  return out;
}

Figures median_of(const std::vector<Figures>& rounds) {
  Figures out;
  const auto field = [&rounds](double Figures::*member) {
    std::vector<double> values;
    values.reserve(rounds.size());
    for (const auto& figures : rounds) values.push_back(figures.*member);
    return median(std::move(values));
  };
  for (double Figures::*member :
       {&Figures::calls, &Figures::errors, &Figures::calls_per_s, &Figures::p50_us,
        &Figures::p90_us, &Figures::p99_us, &Figures::machine_cpu_us, &Figures::own_cpu_us}) {
    out.*member = field(member);
  }
  return out;
}

}  // namespace sock::bench
