#include "pkgcache/profile/standard_use.h"

#include <algorithm>
#include <set>
#include <utility>

namespace sock::pkgcache {

namespace {

/// A module that takes no page of its own still takes part of one.
constexpr double kLeastMb = 1.0 / 256;

}  // namespace

std::vector<StandardChoice> standard_use(std::span<const StandardUse> uses,
                                         const std::map<std::string, ModuleCost>& costs,
                                         const RootBudget& budget) {
  double all = 0;
  std::map<std::string, double> rates;
  for (const StandardUse& use : uses) {
    if (!(use.rate > 0)) continue;
    all += use.rate;
    for (const auto& module : std::set(use.modules.begin(), use.modules.end())) {
      rates[module] += use.rate;
    }
  }

  std::vector<StandardChoice> choices;
  for (const auto& [module, rate] : rates) {
    const auto cost = costs.find(module);
    const double share = rate / all;
    if (cost == costs.end() || share < budget.least_share) continue;
    choices.push_back({.module = module, .share = share, .saved_ms = share * cost->second.ms});
  }
  const auto density = [&](const StandardChoice& choice) {
    return choice.saved_ms / std::max(costs.at(choice.module).mb, kLeastMb);
  };
  // The map was sorted: equals stay in the order of their names.
  std::ranges::stable_sort(choices, std::ranges::greater{}, density);

  RootBudget left = budget;
  std::erase_if(choices, [&](const StandardChoice& choice) {
    const ModuleCost& cost = costs.at(choice.module);
    if (cost.ms > left.ms || cost.mb > left.mb) return true;
    left.ms -= cost.ms;
    left.mb -= cost.mb;
    return false;
  });
  return choices;
}

}  // namespace sock::pkgcache
