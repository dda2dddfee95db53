#include "bench/samples.h"

#include <algorithm>

namespace sock::bench {

void Samples::add_round(const std::string& key, Round round) {
  for (const auto& [start, count] : round.starts) starts_[key][start] += count;
  for (const auto& [error, count] : round.errors) errors_[key][error] += count;
  const auto figures = figures_of(std::move(round));
  if (figures.calls <= 0) return;
  add(key + ".p50_us", figures.p50_us);
  add(key + ".p99_us", figures.p99_us);
  add(key + ".calls", figures.calls);
  add(key + ".calls_per_s", figures.calls_per_s);
}

void Samples::add_nanoseconds(const std::string& key, std::vector<std::int64_t> latencies) {
  if (latencies.empty()) return;
  std::ranges::sort(latencies);
  add(key + ".p50_us", percentile(latencies, 0.50) / 1000);
  add(key + ".p90_us", percentile(latencies, 0.90) / 1000);
  add(key + ".p99_us", percentile(latencies, 0.99) / 1000);
  add(key + ".max_us", static_cast<double>(latencies.back()) / 1000);
}

std::optional<std::pair<double, double>> Samples::range(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  const auto [least, most] = std::ranges::minmax(found->second);
  return std::pair(least, most);
}

std::optional<double> Samples::median(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return bench::median(found->second);
}

}  // namespace sock::bench
