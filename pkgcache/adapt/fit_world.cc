#include "pkgcache/adapt/fit_world.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sock::pkgcache {

namespace {

Universe universe_of(const std::vector<std::vector<Package>>& parts,
                     std::span<const std::vector<Package>> others,
                     const MeasuredPackages& measured) {
  std::vector<Package> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  for (const auto& set : others) {
    for (const Package& package : set) {
      if (measured.contains(package)) all.push_back(package);
    }
  }
  return Universe(std::move(all));
}

std::vector<PackageCost> costs_of(const Universe& universe, const MeasuredPackages& measured) {
  std::vector<PackageCost> out;
  for (std::size_t i = 0; i < universe.size(); ++i) {
    const MeasuredPackage& package = measured.at(universe.package(i));
    out.push_back({package.ms, package.mb, package.vmas});
  }
  return out;
}

std::vector<std::vector<Package>> usable_parts(std::span<const WantedSet> wanted,
                                               const MeasuredPackages& measured) {
  std::vector<std::vector<Package>> out;
  for (const WantedSet& set : wanted) out.push_back(usable_part(*set.packages, measured));
  return out;
}

}  // namespace

std::vector<Package> usable_part(std::vector<Package> packages, const MeasuredPackages& measured) {
  std::ranges::sort(packages);
  if (std::ranges::adjacent_find(packages, {}, &Package::name) != packages.end()) return {};
  std::vector<const MeasuredPackage*> facts;
  for (const Package& package : packages) {
    const auto found = measured.find(package);
    facts.push_back(found == measured.end() ? nullptr : &found->second);
  }
  const auto lacks = [&](const std::string& need) {
    const auto found = std::ranges::lower_bound(packages, need, {}, &Package::name);
    return found != packages.end() && found->name == need &&
           facts[static_cast<std::size_t>(found - packages.begin())] == nullptr;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (const MeasuredPackage*& fact : facts) {
      if (fact == nullptr || std::ranges::none_of(fact->needs, lacks)) continue;
      fact = nullptr;
      changed = true;
    }
  }
  std::vector<Package> out;
  for (std::size_t i = 0; i < packages.size(); ++i) {
    if (facts[i] != nullptr) out.push_back(std::move(packages[i]));
  }
  return out;
}

FitWorld::FitWorld(std::span<const WantedSet> wanted, std::span<const std::vector<Package>> others,
                   const MeasuredPackages& measured, const CostParameters& parameters)
    : FitWorld(wanted, usable_parts(wanted, measured), others, measured, parameters) {}

FitWorld::FitWorld(std::span<const WantedSet> wanted, const Parts& parts,
                   std::span<const std::vector<Package>> others, const MeasuredPackages& measured,
                   const CostParameters& parameters)
    : universe(universe_of(parts, others, measured)),
      costs(costs_of(universe, measured), parameters) {
  std::map<PackageSet, std::size_t> known;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    PackageSet set = universe.set_of(parts[i]);
    const auto [at, added] = known.emplace(set, demand.size());
    if (added) demand.push_back({std::move(set), 0});
    demand[at->second].rate += wanted[i].rate;
    index.emplace(wanted[i].id, at->second);
  }
}

}  // namespace sock::pkgcache
