#include "pkgcache/planner/lookup.h"

#include <algorithm>

namespace sock::pkgcache {

BestMatch::BestMatch(const ZygoteTree& tree, const CostModel& costs) {
  std::vector<std::size_t> holders;
  for (const TreeNode& node : tree) {
    node.packages.for_each([&](std::size_t i) {
      if (i >= holders.size()) holders.resize(i + 1, 0);
      ++holders[i];
    });
  }
  by_package_.resize(holders.size());
  for (std::size_t i = 0; i < tree.size(); ++i) {
    sets_.push_back(tree[i].packages);
    saved_.push_back(i == 0 ? 0 : costs.saved_ms(tree[i].packages));
    const auto members = tree[i].packages.members();
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
