#include "pkgcache/planner/kindred.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "pkgcache/planner/random.h"

namespace sock::pkgcache {

namespace {

class Imagination {
 public:
  Imagination(const Universe& universe, std::span<const DemandedSet> demand,
              const Dependencies& dependencies, const Unseen& unseen)
      : universe_(universe), unseen_(unseen) {
    std::size_t members = 0;
    for (const DemandedSet& function : demand) {
      if (function.rate <= 0 || function.packages.empty()) continue;
      members += function.packages.count();
      if (members > unseen.members) break;
      roots_.push_back(dependencies.roots(function.packages));
      // The next function may resemble this one, but not in how often it is called. A fourth root
      // weighs sets nearly alike; unlike pow() it is the same on every host.
      weights_.push_back(std::sqrt(std::sqrt(function.rate)));
      until_.push_back((until_.empty() ? 0 : until_.back()) + weights_.back());
    }
  }

  /// How many known sets there are to resemble.
  [[nodiscard]] std::size_t size() const { return roots_.size(); }
  /// Part of the imagined calls that resemble the `known`-th.
  [[nodiscard]] double share(std::size_t known) const { return weights_[known] / until_.back(); }

  [[nodiscard]] PackageSet imagine(std::size_t known, Random& random) const {
    PackageSet out = universe_.empty_set();
    for (const PackageSet& root : roots_[known]) {
      if (random.unit() >= unseen_.dropped) out |= root;
    }
    for (std::size_t n = 0; n < kMostAdded && random.unit() < unseen_.added; ++n) {
      PackageSet more = out;
      more |= any_root(random);
      if (!universe_.has_conflict(more)) out = std::move(more);
    }
    return out;
  }

 private:
  static constexpr std::size_t kMostAdded = 8;

  [[nodiscard]] const PackageSet& any_root(Random& random) const {
    const auto at = std::ranges::upper_bound(until_, random.unit() * until_.back());
    const auto known = std::min(static_cast<std::size_t>(at - until_.begin()), size() - 1);
    return roots_[known][random.below(roots_[known].size())];
  }

  const Universe& universe_;
  const Unseen& unseen_;
  std::vector<std::vector<PackageSet>> roots_;
  std::vector<double> weights_;
  std::vector<double> until_;  ///< their sums
};

}  // namespace

std::vector<DemandedSet> with_kindred(const Universe& universe, std::span<const DemandedSet> demand,
                                      const Dependencies& dependencies, const Unseen& unseen) {
  const bool some = unseen.share > 0 && unseen.sets > 0;
  if (!some) return {demand.begin(), demand.end()};
  const Imagination imagination(universe, demand, dependencies, unseen);
  if (imagination.size() == 0) return {demand.begin(), demand.end()};

  std::map<PackageSet, double> rates;
  double taken = 0;
  for (const DemandedSet& function : demand) {
    const auto functions = static_cast<double>(std::max<std::size_t>(1, function.functions));
    const double part = unseen.share * unseen.discount / functions;
    rates[function.packages] += function.rate * (1 - part);
    taken += function.rate * part;
  }
  const std::size_t each = std::max<std::size_t>(1, unseen.sets / imagination.size());
  Random random(1);
  for (std::size_t known = 0; known < imagination.size(); ++known) {
    const double rate = taken * imagination.share(known) / static_cast<double>(each);
    for (std::size_t i = 0; i < each; ++i) rates[imagination.imagine(known, random)] += rate;
  }
  std::vector<DemandedSet> out;
  out.reserve(rates.size());
  for (const auto& [packages, rate] : rates) out.push_back({packages, rate});
  return out;
}

}  // namespace sock::pkgcache
