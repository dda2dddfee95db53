#include "pkgcache/planner/tree_planner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "pkgcache/planner/random.h"
#include "pkgcache/planner/selection.h"

namespace sock::pkgcache {

namespace {

constexpr double kLeastMb = 1e-3;  ///< a set that costs nothing must not divide by zero

/// The sets that cost the callers most, in their old order.
std::vector<DemandedSet> heaviest(std::span<const DemandedSet> demand, const CostModel& costs,
                                  std::size_t most) {
  std::vector<DemandedSet> out(demand.begin(), demand.end());
  if (out.size() <= most) return out;
  std::vector<std::pair<double, std::size_t>> order;
  for (std::size_t i = 0; i < out.size(); ++i) {
    order.emplace_back(-out[i].rate * costs.import_ms(out[i].packages), i);
  }
  std::ranges::sort(order);
  order.resize(most);
  std::ranges::sort(order, {}, [](const auto& o) { return o.second; });
  std::vector<DemandedSet> kept;
  for (const auto& [weight, i] : order) kept.push_back(std::move(out[i]));
  return kept;
}

class Search {
 public:
  Search(std::span<const DemandedSet> demand, std::span<const Candidate> candidates,
         const Universe& universe, const CostModel& costs, const TreeLimits& limits)
      : candidates_(candidates),
        universe_(universe),
        costs_(costs),
        limits_(limits),
        selection_(demand, candidates, costs) {}

  ZygoteTree run() {
    fill();
    keep_best();
    improve();
    return best_;
  }

 private:
  /// Adds the candidate that saves most per MB until none fits any more.
  void fill() {
    for (;;) {
      const double left = limits_.budget_mb - selection_.mb();
      double best_ratio = 0;
      std::size_t best = candidates_.size();
      for (std::size_t c = 0; c < candidates_.size(); ++c) {
        if (selection_.contains(c) || banned_ == c) continue;
        const double most = selection_.most_gain(c);
        if (most <= kLeastGain) continue;
        const double mb = selection_.cost_mb(c);
        if (mb > left) continue;
        const double per_mb = 1 / std::max(mb, kLeastMb);
        if (most * per_mb <= best_ratio) continue;
        const double gain = selection_.gain(c);
        if (gain <= kLeastGain || gain * per_mb <= best_ratio) continue;
        best_ratio = gain * per_mb;
        best = c;
      }
      work_ += candidates_.size();
      if (best == candidates_.size()) return;
      selection_.add(best);
    }
  }

  /// The chosen sets as a tree with the bound on depth, which may take more memory; what saves
  /// least for its memory goes until it fits.
  ZygoteTree as_tree() {
    for (;;) {
      std::vector<PackageSet> sets;
      for (const std::size_t c : selection_.chosen()) sets.push_back(candidates_[c].packages);
      ZygoteTree tree = arrange(std::move(sets), universe_.empty_set(), costs_, limits_.max_depth);
      if (tree_mb(tree, costs_) <= limits_.budget_mb || selection_.chosen().empty()) return tree;
      selection_.remove(by_density().front());
    }
  }

  /// False when what is chosen now is no better than the best so far.
  bool keep_best() {
    const auto is_better = [&] {
      return best_.empty() || selection_.saved() > best_saved_ * (1 + 1e-9);
    };
    if (!is_better()) return false;
    ZygoteTree tree = as_tree();  // may have to drop some
    if (!is_better()) return false;
    best_saved_ = selection_.saved();
    best_ = std::move(tree);
    best_chosen_ = selection_.chosen();
    return true;
  }

  /// The chosen ones, those that save least per MB first.
  std::vector<std::size_t> by_density() {
    std::vector<std::pair<double, std::size_t>> scored;
    for (const std::size_t c : selection_.chosen()) {
      scored.emplace_back(selection_.loss(c) / std::max(selection_.cost_mb(c), kLeastMb), c);
    }
    std::ranges::sort(scored);
    std::vector<std::size_t> out;
    for (const auto& [density, c] : scored) out.push_back(c);
    return out;
  }

  /// Drops a few, fills up again, and keeps what saves more. Whom to drop alternates between those
  /// that save least per MB and a few at random.
  void improve() {
    Random random(1);
    const std::uint64_t start = total_work();
    std::size_t in_vain = 0;
    for (std::size_t round = 0; total_work() - start < limits_.search_work && in_vain < kPatience;
         ++round) {
      const auto order = by_density();
      if (order.empty()) return;
      const std::size_t most = std::max<std::size_t>(1, order.size() / 6);
      const std::size_t n = 1 + random.below(most);
      std::vector<std::size_t> dropped;
      if (round % 2 == 0) {
        // From the poorer half, so that rounds differ.
        for (std::size_t i = 0; i < n; ++i) {
          dropped.push_back(order[random.below((order.size() + 1) / 2)]);
        }
      } else {
        for (std::size_t i = 0; i < n; ++i) dropped.push_back(order[random.below(order.size())]);
      }
      for (const std::size_t c : dropped) {
        if (selection_.contains(c)) selection_.remove(c);
      }
      // Or the greedy choice would only undo the drop.
      banned_ = dropped.front();
      fill();
      banned_ = candidates_.size();
      fill();
      in_vain = keep_best() ? 0 : in_vain + 1;
      restore();
    }
  }

  void restore() {
    const std::vector<std::size_t> now = selection_.chosen();
    std::vector<bool> wanted(candidates_.size(), false);
    for (const std::size_t c : best_chosen_) wanted[c] = true;
    for (const std::size_t c : now) {
      if (!wanted[c]) selection_.remove(c);
    }
    for (const std::size_t c : best_chosen_) {
      if (!selection_.contains(c)) selection_.add(c);
    }
  }

  [[nodiscard]] std::uint64_t total_work() const { return work_ + selection_.work(); }

  static constexpr double kLeastGain = 1e-9;
  static constexpr std::size_t kPatience = 400;  ///< rounds without success before giving up

  std::span<const Candidate> candidates_;
  const Universe& universe_;
  const CostModel& costs_;
  const TreeLimits& limits_;
  Selection selection_;
  std::size_t banned_ = candidates_.size();
  std::uint64_t work_ = 0;
  double best_saved_ = 0;
  ZygoteTree best_;
  std::vector<std::size_t> best_chosen_;
};

}  // namespace

ZygoteTree plan_tree(const Universe& universe, std::span<const DemandedSet> demand,
                     const Dependencies& dependencies, const CostModel& costs,
                     const TreeLimits& limits) {
  const auto known = heaviest(demand, costs, limits.most_sets);
  const auto expected = with_kindred(universe, known, dependencies, limits.unseen);
  const auto candidates =
      find_candidates(universe, known, expected, dependencies, costs, limits.candidates);
  return Search(expected, candidates, universe, costs, limits).run();
}

}  // namespace sock::pkgcache
