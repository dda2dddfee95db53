#include "cli/stats_view.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <numeric>
#include <string>

namespace sock::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kShownCalls = 5;

/// As JSON readers expect a number: signed, unless it does not fit.
std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

/// The bucket's upper bound below which `share` of all calls ended.
std::uint64_t percentile(const manager::Stats& stats, double share) {
  const auto total = std::accumulate(stats.latency.begin(), stats.latency.end(), std::uint64_t{0});
  const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < stats.latency.size(); ++bucket) {
    seen += stats.latency[bucket];
    if (seen > wanted) return std::uint64_t{1} << bucket;
  }
  return 0;
}

}  // namespace

json::object stats_fields(const manager::Stats& stats) {
  json::object fields{{"calls", number(stats.calls)}};
  for (std::size_t status = 0; status < manager::kStatusCount; ++status) {
    for (std::size_t start = 0; start < manager::kStartCount; ++start) {
      const std::uint64_t count = stats.invocations[status][start];
      if (count == 0) continue;
      const auto started = to_string(static_cast<manager::Start>(start));
      fields["calls_" + std::string(manager::status_name(status)) + "_" + std::string(started)] =
          number(count);
    }
  }
  fields["zygotes"] = number(stats.zygotes);
  fields["parked"] = number(stats.parked);
  fields["shells"] = number(stats.shells);
  fields["netns_ready"] = number(stats.netns_ready);
  fields["p50_below_us"] = number(percentile(stats, 0.5));
  fields["p99_below_us"] = number(percentile(stats, 0.99));
  json::array latest;
  for (std::size_t n = 0; n < std::min(stats.recent_count(), kShownCalls); ++n) {
    const auto& call = stats.recent_call(n);
    latest.push_back(json::string(std::string(call.name()) + " " +
                                  std::string(manager::status_name(call.status)) + " " +
                                  std::to_string(call.total_us) + " us"));
  }
  fields["latest_calls"] = std::move(latest);
  return fields;
}

}  // namespace sock::cli
