#include "pkgcache/baselines/forklift.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace sock::pkgcache {

namespace {

struct Split {
  double benefit = 0;
  PackageSet added;
};

class Grower {
 public:
  Grower(const Universe& universe, std::span<const DemandedSet> demand,
         const Dependencies& dependencies, const CostModel& costs, const ForkLiftLimits& limits)
      : universe_(universe), demand_(demand), costs_(costs), limits_(limits) {
    std::set<std::pair<std::size_t, PackageSet>> closures;
    for (const DemandedSet& function : demand) {
      function.packages.for_each(
          [&](std::size_t i) { closures.emplace(i, dependencies.closure(i, function.packages)); });
    }
    closures_.assign(closures.begin(), closures.end());
  }

  ZygoteTree grow() {
    tree_.push_back({universe_.empty_set(), 0, 0});
    calls_.emplace_back();
    for (std::size_t i = 0; i < demand_.size(); ++i) calls_[0].push_back(i);
    enqueue(0);
    double mb = 0;
    // The greatest benefit first; of equals the one found first.
    while (!queue_.empty() && tree_.size() < limits_.max_nodes) {
      const auto [node, split] = queue_.begin()->second;
      queue_.erase(queue_.begin());
      mb += costs_.parameters().node_mb + costs_.memory_mb(split.added);
      if (mb > limits_.budget_mb) break;
      make(node, split);
    }
    return std::move(tree_);
  }

 private:
  [[nodiscard]] bool has_all(std::size_t call, const PackageSet& packages) const {
    return packages.is_subset_of(demand_[call].packages);
  }

  void make(std::size_t node, const Split& split) {
    PackageSet packages = tree_[node].packages;
    packages |= split.added;
    std::vector<std::size_t> taken;
    std::vector<std::size_t> left;
    for (const std::size_t call : calls_[node]) {
      (has_all(call, split.added) ? taken : left).push_back(call);
    }
    const std::size_t child = tree_.size();
    tree_.push_back({std::move(packages), node, tree_[node].depth + 1});
    calls_[node] = std::move(left);
    calls_.push_back(std::move(taken));
    if (tree_[child].depth < limits_.max_depth) enqueue(child);
    enqueue(node);
  }

  void enqueue(std::size_t node) {
    std::optional<Split> best;
    const PackageSet& held = tree_[node].packages;
    for (const auto& [package, closure] : closures_) {
      if (held.contains(package)) continue;
      PackageSet added = closure;
      added -= held;
      const double ms = costs_.import_ms(added);
      double rate = 0;
      for (const std::size_t call : calls_[node]) {
        if (has_all(call, added)) rate += demand_[call].rate;
      }
      // Nobody is left who needs a version other than the one held: no split can conflict.
      const double benefit = rate * ms;
      if (benefit > 0 && (!best || benefit > best->benefit)) best = Split{benefit, added};
    }
    if (!best) return;
    queue_.emplace(std::pair(-best->benefit, ++generation_), std::pair(node, std::move(*best)));
  }

  const Universe& universe_;
  std::span<const DemandedSet> demand_;
  const CostModel& costs_;
  const ForkLiftLimits& limits_;
  std::vector<std::pair<std::size_t, PackageSet>> closures_;
  ZygoteTree tree_;
  std::vector<std::vector<std::size_t>> calls_;  ///< by node: the demanded sets it serves
  std::map<std::pair<double, std::size_t>, std::pair<std::size_t, Split>> queue_;
  std::size_t generation_ = 0;
};

}  // namespace

ZygoteTree forklift_tree(const Universe& universe, std::span<const DemandedSet> demand,
                         const Dependencies& dependencies, const CostModel& costs,
                         const ForkLiftLimits& limits) {
  return Grower(universe, demand, dependencies, costs, limits).grow();
}

FirstMatch::FirstMatch(const ZygoteTree& tree) : children_(tree.size()) {
  for (std::size_t i = 0; i < tree.size(); ++i) {
    sets_.push_back(tree[i].packages);
    if (i > 0) children_[tree[i].parent].push_back(i);
  }
}

std::size_t FirstMatch::find(const PackageSet& wanted) const {
  std::size_t node = 0;
  for (;;) {
    std::size_t next = node;
    for (const std::size_t child : children_[node]) {
      if (!sets_[child].is_subset_of(wanted)) continue;
      next = child;
      break;
    }
    if (next == node) return node;
    node = next;
  }
}

}  // namespace sock::pkgcache
