#pragma once

#include <span>
#include <string>
#include <vector>

#include "pkgcache/planner/universe.h"

namespace sock::pkgcache {

/// A function: the packages it needs, exactly, and how often it is called.
struct Function {
  std::string name;
  std::vector<Package> packages;  ///< sorted; dependency-closed
  double rate = 1;                ///< any unit
};

/// Functions with the same packages are one to a planner.
struct DemandedSet {
  PackageSet packages;
  double rate = 0;
  std::size_t functions = 1;  ///< how many functions it is the set of
};

/// The demand as sets, in an order that depends on nothing but the sets. Rates that are not
/// positive numbers count as none. Packages that the universe lacks are left out.
[[nodiscard]] std::vector<DemandedSet> demanded_sets(const Universe& universe,
                                                     std::span<const Function> functions);

/// Every package that any of the functions needs.
[[nodiscard]] Universe universe_of(std::span<const Function> functions);

/// What must be loaded with a package, by name, inferred from the functions: the names that
/// accompany it in each of them, which holds its dependencies since each function's set is closed.
/// Names, for a package may work with several versions of what it needs.
class Dependencies {
 public:
  Dependencies(const Universe& universe, std::span<const DemandedSet> demand);

  [[nodiscard]] bool is_closed(const PackageSet& set) const;
  /// The largest closed subset.
  [[nodiscard]] PackageSet trimmed(PackageSet set) const;
  /// Package `i` with what it needs at the versions of `within`, a closed set that has it.
  [[nodiscard]] PackageSet closure(std::size_t i, const PackageSet& within) const;
  /// What a function with the closed set `set` asks for: the closures of the packages that no other
  /// needs; together they are the set.
  [[nodiscard]] std::vector<PackageSet> roots(const PackageSet& set) const;

 private:
  const Universe& universe_;
  std::vector<PackageSet> needs_;  ///< by package, over names
};

}  // namespace sock::pkgcache
