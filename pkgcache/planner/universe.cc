#include "pkgcache/planner/universe.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

Universe::Universe(std::vector<Package> packages) : packages_(std::move(packages)) {
  std::ranges::sort(packages_);
  const auto repeated = std::ranges::unique(packages_);
  packages_.erase(repeated.begin(), repeated.end());
  name_of_.reserve(packages_.size());
  for (std::size_t i = 0; i < packages_.size(); ++i) {
    if (i == 0 || packages_[i].name != packages_[i - 1].name) ++names_;
    name_of_.push_back(names_ - 1);
  }
}

std::optional<std::size_t> Universe::find(const Package& package) const {
  const auto found = std::ranges::lower_bound(packages_, package);
  if (found == packages_.end() || *found != package) return std::nullopt;
  return static_cast<std::size_t>(found - packages_.begin());
}

PackageSet Universe::set_of(std::span<const Package> packages) const {
  PackageSet set = empty_set();
  for (const Package& package : packages) {
    if (const auto i = find(package)) set.insert(*i);
  }
  return set;
}

std::vector<Package> Universe::packages_of(const PackageSet& set) const {
  std::vector<Package> out;
  set.for_each([&](std::size_t i) { out.push_back(packages_[i]); });
  return out;
}

PackageSet Universe::names_of(const PackageSet& set) const {
  PackageSet out(names_);
  set.for_each([&](std::size_t i) { out.insert(name_of_[i]); });
  return out;
}

bool Universe::has_conflict(const PackageSet& set) const {
  return names_of(set).count() != set.count();
}

}  // namespace sock::pkgcache
