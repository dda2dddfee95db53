#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "pkgcache/planner/universe.h"

namespace sock::pkgcache {

/// What importing one package costs when its dependencies are loaded already.
struct PackageCost {
  double ms = 0;
  double mb = 0;    ///< private memory
  double vmas = 0;  ///< mappings it brings; 0: not measured, estimated from the memory
};

/// Measured costs: name → version → cost.
using CostTable =
    std::map<std::string, std::map<std::string, PackageCost, std::less<>>, std::less<>>;

/// What a clone of a zygote costs: base + per MB of its private memory + per mapping.
/// docs/pkgcache.md has the fit.
struct CloneCost {
  double base_us = 0;
  double us_per_mb = 0;
  double us_per_vma = 0;
};

inline constexpr CloneCost kSealedClone{145, 3, 0.2};
inline constexpr CloneCost kUnsealedClone{354, 47, 1.34};

struct CostParameters {
  CloneCost clone = kSealedClone;
  double root_mb = 4;  ///< the bare interpreter, with what the root holds of the standard library
  double node_mb = 1;  ///< what a zygote costs beside what it imports
  double root_vmas = 49;    ///< mappings of the bare interpreter
  double vmas_per_mb = 14;  ///< that a MB brings of packages without a count of their own
  /// Part of each package's import time (and memory) that the root has done already because it
  /// holds the standard library's common modules; 0 … 1.
  double root_share_ms = 0;
  double root_share_mb = 0;
};

/// What sets cost. Additive: a set costs the sum of its packages, each with its dependencies
/// loaded; what a parent holds is subtracted. Immutable.
class CostModel {
 public:
  /// A version that the table lacks costs the median of the name's versions, a name that it lacks
  /// the median of all; such names are counted in unknown().
  CostModel(const Universe& universe, const CostTable& table, CostParameters parameters = {});

  /// From the cost of each package of a universe, in its order.
  explicit CostModel(std::span<const PackageCost> packages, CostParameters parameters = {});

  [[nodiscard]] double import_ms(const PackageSet& set) const { return sum(set, ms_); }
  /// Private memory of the packages alone.
  [[nodiscard]] double memory_mb(const PackageSet& set) const { return sum(set, mb_); }
  [[nodiscard]] double package_ms(std::size_t i) const { return ms_[i]; }
  [[nodiscard]] double package_mb(std::size_t i) const { return mb_[i]; }
  /// Mappings of the packages alone.
  [[nodiscard]] double mappings(const PackageSet& set) const { return sum(set, vmas_); }
  /// Cloning a zygote that holds `set`.
  [[nodiscard]] double clone_ms(const PackageSet& set) const;
  /// What a call saves when it is cloned from a zygote with `set` and not from the root; negative
  /// when the dearer clone outweighs the imports.
  [[nodiscard]] double saved_ms(const PackageSet& set) const;
  /// What a call pays in a clone of a zygote with `held`, which is a subset of `wanted`.
  [[nodiscard]] double service_ms(const PackageSet& wanted, const PackageSet& held) const;

  [[nodiscard]] const CostParameters& parameters() const { return parameters_; }
  /// Packages of the universe with an estimated cost because the table lacks the name.
  [[nodiscard]] std::size_t unknown() const { return unknown_; }

 private:
  void add(const PackageCost& cost);
  [[nodiscard]] static double sum(const PackageSet& set, const std::vector<double>& values) {
    double total = 0;
    set.for_each([&](std::size_t i) { total += values[i]; });
    return total;
  }

  CostParameters parameters_;
  std::vector<double> ms_;
  std::vector<double> mb_;
  std::vector<double> vmas_;
  std::size_t unknown_ = 0;
};

}  // namespace sock::pkgcache
