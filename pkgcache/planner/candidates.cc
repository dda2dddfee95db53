#include "pkgcache/planner/candidates.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>
#include <utility>

namespace sock::pkgcache {

namespace {

class Finder {
 public:
  Finder(const Universe& universe, std::span<const DemandedSet> demand,
         const Dependencies& dependencies, const CostModel& costs, const CandidateLimits& limits)
      : universe_(universe),
        demand_(demand),
        dependencies_(dependencies),
        costs_(costs),
        limits_(limits) {}

  std::vector<Candidate> find() {
    for (const DemandedSet& function : demand_) {
      if (!universe_.has_conflict(function.packages)) usable_.push_back(&function);
    }
    add_functions_and_closures();
    add_intersections();
    add_unions();
    add_trimmed();
    return best();
  }

 private:
  void add(PackageSet set) {
    if (set.empty() || sets_.size() >= limits_.sets || !seen_.insert(set).second) return;
    sets_.push_back(std::move(set));
  }

  /// Empty once the limit on closures is reached.
  PackageSet closure(std::size_t i, const PackageSet& within) {
    if (closures_ >= limits_.closures) return universe_.empty_set();
    ++closures_;
    return dependencies_.closure(i, within);
  }

  void add_functions_and_closures() {
    for (const DemandedSet* function : usable_) {
      add(dependencies_.trimmed(function->packages));
      function->packages.for_each([&](std::size_t i) { add(closure(i, function->packages)); });
    }
  }

  void add_intersections() {
    std::vector<std::pair<double, const DemandedSet*>> heavy;
    for (const DemandedSet* function : usable_) {
      heavy.emplace_back(function->rate * costs_.import_ms(function->packages), function);
    }
    std::ranges::stable_sort(heavy, std::ranges::greater{}, [](const auto& h) { return h.first; });
    if (heavy.size() > limits_.heavy_sets) heavy.resize(limits_.heavy_sets);
    std::unordered_set<PackageSet, PackageSetHash> raw;
    for (std::size_t i = 0; i < heavy.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        PackageSet both = heavy[i].second->packages;
        both &= heavy[j].second->packages;
        if (raw.insert(both).second) add(dependencies_.trimmed(std::move(both)));
      }
    }
  }

  /// Of the packages that cost the callers most, every two that some function has both of.
  void add_unions() {
    std::vector<double> weight(universe_.size(), 0);
    for (const DemandedSet* function : usable_) {
      function->packages.for_each(
          [&](std::size_t i) { weight[i] += function->rate * costs_.package_ms(i); });
    }
    std::vector<std::size_t> order(universe_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](std::size_t i) { return weight[i]; });
    if (order.size() > limits_.heavy_packages) order.resize(limits_.heavy_packages);
    PackageSet heavy = universe_.empty_set();
    for (const std::size_t i : order) heavy.insert(i);
    std::unordered_set<PackageSet, PackageSetHash> done;
    for (const DemandedSet* function : usable_) {
      PackageSet here = function->packages;
      here &= heavy;
      if (!done.insert(here).second) continue;
      std::vector<PackageSet> closures;
      here.for_each([&](std::size_t i) { closures.push_back(closure(i, function->packages)); });
      PackageSet all = universe_.empty_set();
      for (std::size_t a = 0; a < closures.size(); ++a) {
        all |= closures[a];
        for (std::size_t b = 0; b < a; ++b) {
          PackageSet both = closures[a];
          both |= closures[b];
          add(std::move(both));
        }
      }
      add(std::move(all));
    }
  }

  /// Without the packages that save less than a tenth of what the whole saves for its memory.
  void add_trimmed() {
    const std::size_t untrimmed = sets_.size();
    for (std::size_t s = 0; s < untrimmed; ++s) {
      const double floor = costs_.import_ms(sets_[s]) / (costs_.memory_mb(sets_[s]) + 1e-9) / 10;
      PackageSet dense = sets_[s];
      sets_[s].for_each([&](std::size_t i) {
        if (costs_.package_ms(i) < floor * costs_.package_mb(i)) dense.erase(i);
      });
      // A light package that a heavy one needs comes back with it.
      PackageSet closed = universe_.empty_set();
      dense.for_each([&](std::size_t i) {
        if (!closed.contains(i)) closed |= closure(i, sets_[s]);
      });
      add(std::move(closed));
    }
  }

  std::vector<Candidate> best() {
    std::vector<std::pair<double, Candidate>> scored;
    for (PackageSet& set : sets_) {
      Candidate candidate;
      candidate.ms = costs_.saved_ms(set);
      if (candidate.ms <= 0) continue;
      candidate.mb = costs_.memory_mb(set);
      double rate = 0;
      for (std::size_t d = 0; d < demand_.size(); ++d) {
        if (demand_[d].rate <= 0 || !set.is_subset_of(demand_[d].packages)) continue;
        candidate.serves.push_back(d);
        rate += demand_[d].rate;
      }
      if (rate <= 0) continue;
      candidate.packages = std::move(set);
      // Beside a tree that holds most of it already, a set costs little more than a zygote.
      const double mb = costs_.parameters().node_mb + candidate.mb / 4 + 1e-9;
      scored.emplace_back(rate * candidate.ms / mb, std::move(candidate));
    }
    std::ranges::stable_sort(scored, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second.packages < b.second.packages;
    });
    if (scored.size() > limits_.candidates) scored.resize(limits_.candidates);
    std::vector<Candidate> out;
    out.reserve(scored.size());
    for (auto& [score, candidate] : scored) out.push_back(std::move(candidate));
    return out;
  }

  const Universe& universe_;
  std::span<const DemandedSet> demand_;
  const Dependencies& dependencies_;
  const CostModel& costs_;
  const CandidateLimits& limits_;
  std::vector<const DemandedSet*> usable_;
  std::size_t closures_ = 0;
  std::vector<PackageSet> sets_;
  std::unordered_set<PackageSet, PackageSetHash> seen_;
};

}  // namespace

std::vector<Candidate> find_candidates(const Universe& universe,
                                       std::span<const DemandedSet> demand,
                                       const Dependencies& dependencies, const CostModel& costs,
                                       const CandidateLimits& limits) {
  return Finder(universe, demand, dependencies, costs, limits).find();
}

}  // namespace sock::pkgcache
