#include "bench/pkgcache/sample.h"

#include <algorithm>
#include <string>
#include <utility>

#include "pkgcache/planner/popularity.h"
#include "pkgcache/planner/random.h"

namespace sock::bench {
namespace {

constexpr const char* kPrefix = "synthetic-";

const pkgcache::PackageCost* cost_of(const pkgcache::CostTable& table,
                                     const pkgcache::Package& package) {
  const auto versions = table.find(package.name);
  if (versions == table.end()) return nullptr;
  const auto cost = versions->second.find(package.version);
  return cost == versions->second.end() ? nullptr : &cost->second;
}

bool has_known_costs(const pkgcache::Function& function, const pkgcache::CostTable& table) {
  return !function.packages.empty() &&
         std::ranges::all_of(function.packages, [&](const pkgcache::Package& package) {
           return cost_of(table, package) != nullptr;
         });
}

}  // namespace

Result<Sample> draw_sample(std::span<const pkgcache::Function> functions,
                           const pkgcache::CostTable& table, const SampleOptions& options) {
  std::vector<pkgcache::Function> drawn;
  for (const auto& function : functions) {
    if (has_known_costs(function, table)) drawn.push_back(function);
  }
  if (drawn.size() < options.functions) {
    return fail(Code::kInvalid, "draw functions",
                "only " + std::to_string(drawn.size()) + " have packages of known cost, not " +
                    std::to_string(options.functions));
  }
  pkgcache::Random random(options.seed);
  for (std::size_t i = 0; i < options.functions; ++i) {
    std::swap(drawn[i], drawn[i + random.below(drawn.size() - i)]);
  }
  drawn.resize(options.functions);

  pkgcache::CostTable costs;
  for (auto& function : drawn) {
    function.name = "f" + function.name;
    for (auto& package : function.packages) {
      const auto cost = *cost_of(table, package);
      package.name = kPrefix + package.name;
      costs[package.name][package.version] = cost;
    }
  }
  pkgcache::make_zipf(drawn, {}, options.zipf, options.seed);
  pkgcache::Universe universe = pkgcache::universe_of(drawn);
  pkgcache::CostModel model(universe, costs, options.parameters);
  return Sample{std::move(drawn), std::move(costs), std::move(universe), std::move(model)};
}

std::vector<std::size_t> draw_calls(std::span<const pkgcache::Function> functions,
                                    std::size_t count, std::uint64_t seed) {
  std::vector<double> until;
  double sum = 0;
  for (const auto& function : functions) until.push_back(sum += function.rate);
  pkgcache::Random random(seed);
  std::vector<std::size_t> calls;
  while (calls.size() < count && sum > 0) {
    const auto at = std::ranges::upper_bound(until, random.unit() * sum) - until.begin();
    calls.push_back(std::min(static_cast<std::size_t>(at), functions.size() - 1));
  }
  return calls;
}

}  // namespace sock::bench
