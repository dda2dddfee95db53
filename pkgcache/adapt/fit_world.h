#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "pkgcache/adapt/demand_sketch.h"
#include "pkgcache/adapt/measured_packages.h"
#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// What zygotes may hold of a function's packages (any order; sorted in the result): those that are
/// measured and all of whose needs, as far as the function has them, are. Nothing of a set with
/// two versions of one package.
[[nodiscard]] std::vector<Package> usable_part(std::vector<Package> packages,
                                               const MeasuredPackages& measured);

/// A set of packages that functions need, as demand knows it.
struct WantedSet {
  SetId id = 0;
  std::shared_ptr<const std::vector<Package>> packages;
  double rate = 0;  ///< calls a second
};

/// Packages as numbers, what they cost, and who wants them: what a tree is fitted to. Holds only
/// packages that zygotes may hold. Immutable: safe to read from any thread.
struct FitWorld {
  /// `others`: packages beside those wanted that the tree may hold.
  FitWorld(std::span<const WantedSet> wanted, std::span<const std::vector<Package>> others,
           const MeasuredPackages& measured, const CostParameters& parameters);

  Universe universe;
  CostModel costs;
  /// What zygotes may hold of the wanted sets, different ones, with their rates.
  std::vector<DemandedSet> demand;
  std::unordered_map<SetId, std::size_t> index;  ///< into demand

 private:
  using Parts = std::vector<std::vector<Package>>;
  FitWorld(std::span<const WantedSet> wanted, const Parts& parts,
           std::span<const std::vector<Package>> others, const MeasuredPackages& measured,
           const CostParameters& parameters);
};

}  // namespace sock::pkgcache
