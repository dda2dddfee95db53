#include "pkgcache/planner/candidates.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>
#include <utility>

namespace sock::pkgcache {

namespace {

class Finder {
 public:
  Finder(const Universe& universe, std::span<const DemandedSet> known,
         std::span<const DemandedSet> expected, const Dependencies& dependencies,
         const CostModel& costs, const CandidateLimits& limits)
      : universe_(universe),
        known_(usable(universe, known)),
        expected_(usable(universe, expected)),
        demand_(expected),
        dependencies_(dependencies),
        costs_(costs),
        limits_(limits),
        most_sets_(std::min(limits.sets, limits.set_bytes / (universe.size() / 8 + 1))) {}

  std::vector<Candidate> find() {
    add_functions_and_closures();
    add_intersections();
    add_unions();
    for (const DemandedSet* function : expected_) add(dependencies_.trimmed(function->packages));
    add_trimmed();
    return best();
  }

 private:
  using Sets = std::vector<const DemandedSet*>;

  static Sets usable(const Universe& universe, std::span<const DemandedSet> demand) {
    Sets out;
    for (const DemandedSet& function : demand) {
      if (!universe.has_conflict(function.packages)) out.push_back(&function);
    }
    return out;
  }

  void add(PackageSet set) {
    if (set.empty() || sets_.size() >= most_sets_ || !seen_.insert(set).second) return;
    sets_.push_back(std::move(set));
  }

  /// Empty once the limit on closures is reached.
  PackageSet closure(std::size_t i, const PackageSet& within) {
    if (closures_ >= limits_.closures) return universe_.empty_set();
    ++closures_;
    return dependencies_.closure(i, within);
  }

  void add_functions_and_closures() {
    for (const DemandedSet* function : known_) {
      add(dependencies_.trimmed(function->packages));
      function->packages.for_each([&](std::size_t i) { add(closure(i, function->packages)); });
    }
  }

  void add_intersections() {
    std::vector<std::pair<double, const DemandedSet*>> heavy;
    for (const DemandedSet* function : known_) {
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
    for (const DemandedSet* function : expected_) {
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
    for (const DemandedSet* function : expected_) {
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

  /// By package: the demanded sets that have it and are called, as a set of their indexes.
  [[nodiscard]] std::vector<PackageSet> callers() const {
    std::vector<PackageSet> having(universe_.size(), PackageSet(demand_.size()));
    for (std::size_t d = 0; d < demand_.size(); ++d) {
      if (demand_[d].rate <= 0) continue;
      demand_[d].packages.for_each([&](std::size_t i) { having[i].insert(d); });
    }
    return having;
  }

  std::vector<Candidate> best() {
    const std::vector<PackageSet> having = callers();
    const auto served_by = [&](const PackageSet& set) {
      const auto members = set.members();
      PackageSet served = having[members.front()];
      for (const std::size_t i : members) served &= having[i];
      return served;
    };
    std::vector<std::pair<double, std::size_t>> scored;
    for (std::size_t s = 0; s < sets_.size(); ++s) {
      const double ms = costs_.saved_ms(sets_[s]);
      if (ms <= 0) continue;
      double rate = 0;
      served_by(sets_[s]).for_each([&](std::size_t d) { rate += demand_[d].rate; });
      if (rate <= 0) continue;
      // Beside a tree that holds most of it already, a set costs little more than a zygote.
      const double mb = costs_.parameters().node_mb + costs_.memory_mb(sets_[s]) / 4 + 1e-9;
      scored.emplace_back(-rate * ms / mb, s);
    }
    std::ranges::sort(scored, [&](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : sets_[a.second] < sets_[b.second];
    });
    if (scored.size() > limits_.candidates) scored.resize(limits_.candidates);
    std::vector<Candidate> out;
    out.reserve(scored.size());
    for (const auto& [score, s] : scored) {
      Candidate candidate;
      candidate.ms = costs_.saved_ms(sets_[s]);
      candidate.mb = costs_.memory_mb(sets_[s]);
      served_by(sets_[s]).for_each(
          [&](std::size_t d) { candidate.serves.push_back(static_cast<std::uint32_t>(d)); });
      candidate.packages = std::move(sets_[s]);
      out.push_back(std::move(candidate));
    }
    return out;
  }

  const Universe& universe_;
  Sets known_;
  Sets expected_;
  std::span<const DemandedSet> demand_;  ///< what is expected, conflicts too
  const Dependencies& dependencies_;
  const CostModel& costs_;
  const CandidateLimits& limits_;
  const std::size_t most_sets_;
  std::size_t closures_ = 0;
  std::vector<PackageSet> sets_;
  std::unordered_set<PackageSet, PackageSetHash> seen_;
};

}  // namespace

std::vector<Candidate> find_candidates(const Universe& universe, std::span<const DemandedSet> known,
                                       std::span<const DemandedSet> expected,
                                       const Dependencies& dependencies, const CostModel& costs,
                                       const CandidateLimits& limits) {
  return Finder(universe, known, expected, dependencies, costs, limits).find();
}

}  // namespace sock::pkgcache
