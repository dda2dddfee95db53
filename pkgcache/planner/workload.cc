#include "pkgcache/planner/workload.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace sock::pkgcache {

std::vector<DemandedSet> demanded_sets(const Universe& universe,
                                       std::span<const Function> functions) {
  std::map<PackageSet, std::pair<double, std::size_t>> rates;
  for (const Function& function : functions) {
    const double rate = std::isfinite(function.rate) && function.rate > 0 ? function.rate : 0;
    auto& set = rates[universe.set_of(function.packages)];
    set.first += rate;
    ++set.second;
  }
  std::vector<DemandedSet> out;
  out.reserve(rates.size());
  for (const auto& [packages, sum] : rates) out.push_back({packages, sum.first, sum.second});
  return out;
}

Universe universe_of(std::span<const Function> functions) {
  std::vector<Package> packages;
  for (const Function& function : functions) {
    packages.insert(packages.end(), function.packages.begin(), function.packages.end());
  }
  return Universe(std::move(packages));
}

Dependencies::Dependencies(const Universe& universe, std::span<const DemandedSet> demand)
    : universe_(universe), needs_(universe.size()) {
  std::vector<bool> seen(universe.size(), false);
  for (std::size_t i = 0; i < needs_.size(); ++i) needs_[i] = PackageSet(universe.names());
  for (const DemandedSet& function : demand) {
    const PackageSet names = universe.names_of(function.packages);
    function.packages.for_each([&](std::size_t i) {
      if (seen[i]) {
        needs_[i] &= names;
      } else {
        needs_[i] = names;
        seen[i] = true;
      }
    });
  }
}

bool Dependencies::is_closed(const PackageSet& set) const {
  const PackageSet names = universe_.names_of(set);
  bool closed = true;
  set.for_each([&](std::size_t i) { closed = closed && needs_[i].is_subset_of(names); });
  return closed;
}

PackageSet Dependencies::trimmed(PackageSet set) const {
  for (;;) {
    const PackageSet names = universe_.names_of(set);
    PackageSet kept = set;
    set.for_each([&](std::size_t i) {
      if (!needs_[i].is_subset_of(names)) kept.erase(i);
    });
    if (kept == set) return set;
    set = std::move(kept);
  }
}

PackageSet Dependencies::closure(std::size_t i, const PackageSet& within) const {
  PackageSet out = universe_.empty_set();
  out.insert(i);
  for (;;) {
    PackageSet names(universe_.names());
    out.for_each([&](std::size_t member) { names |= needs_[member]; });
    PackageSet grown = out;
    within.for_each([&](std::size_t member) {
      if (names.contains(universe_.name_of(member))) grown.insert(member);
    });
    if (grown == out) return out;
    out = std::move(grown);
  }
}

std::vector<PackageSet> Dependencies::roots(const PackageSet& set) const {
  std::vector<PackageSet> closures;
  set.for_each([&](std::size_t i) { closures.push_back(closure(i, set)); });
  // The larger first: what is within none of those before is within none at all.
  std::ranges::sort(closures, [](const PackageSet& a, const PackageSet& b) {
    const std::size_t left = a.count();
    const std::size_t right = b.count();
    return left != right ? left > right : a < b;
  });
  std::vector<PackageSet> out;
  for (PackageSet& closure : closures) {
    const bool within = std::ranges::any_of(
        out, [&](const PackageSet& other) { return closure.is_subset_of(other); });
    if (!within) out.push_back(std::move(closure));
  }
  return out;
}

}  // namespace sock::pkgcache
