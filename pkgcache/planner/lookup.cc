#include "pkgcache/planner/lookup.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

namespace {

std::vector<PackageSet> sets_of(const ZygoteTree& tree) {
  std::vector<PackageSet> sets;
  for (const TreeNode& node : tree) sets.push_back(node.packages);
  return sets;
}

std::vector<double> savings_of(const ZygoteTree& tree, const CostModel& costs) {
  std::vector<double> saved;
  for (const TreeNode& node : tree) {
    saved.push_back(saved.empty() ? 0 : costs.saved_ms(node.packages));
  }
  return saved;
}

}  // namespace

BestMatch::BestMatch(const ZygoteTree& tree, const CostModel& costs)
    : BestMatch(sets_of(tree), savings_of(tree, costs)) {}

BestMatch::BestMatch(std::vector<PackageSet> sets, std::vector<double> saved_ms)
    : sets_(std::move(sets)), saved_(std::move(saved_ms)) {
  std::vector<std::size_t> holders;
  for (const PackageSet& set : sets_) {
    set.for_each([&](std::size_t i) {
      if (i >= holders.size()) holders.resize(i + 1, 0);
      ++holders[i];
    });
  }
  by_package_.resize(holders.size());
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    const auto members = sets_[i].members();
    if (members.empty() || saved_[i] <= 0) continue;
    const std::size_t rarest = *std::ranges::min_element(
        members, {}, [&](std::size_t package) { return holders[package]; });
    by_package_[rarest].push_back({saved_[i], i});
  }
  for (auto& filed : by_package_) {
    std::ranges::stable_sort(filed, std::ranges::greater{}, &Filed::saved_ms);
  }
}

std::size_t BestMatch::find(const PackageSet& wanted) const {
  Filed best{0, 0};
  wanted.for_each([&](std::size_t package) {
    if (package >= by_package_.size()) return;
    for (const Filed& filed : by_package_[package]) {
      if (filed.saved_ms < best.saved_ms) break;
      if (filed.saved_ms == best.saved_ms && filed.node >= best.node) continue;
      if (sets_[filed.node].is_subset_of(wanted)) best = filed;
    }
  });
  return best.node;
}

}  // namespace sock::pkgcache
