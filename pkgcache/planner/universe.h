#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pkgcache/package.h"
#include "pkgcache/planner/package_set.h"

namespace sock::pkgcache {

/// Packages as small integers: the same name at another version is another package. The numbers
/// follow the order of Package, so the same packages give the same numbers in whatever order they
/// come. Immutable: safe to read from any thread.
class Universe {
 public:
  Universe() = default;
  explicit Universe(std::vector<Package> packages);

  [[nodiscard]] std::size_t size() const { return packages_.size(); }
  [[nodiscard]] const Package& package(std::size_t i) const { return packages_[i]; }

  /// Versions of one name share a name number below names().
  [[nodiscard]] std::size_t names() const { return names_; }
  [[nodiscard]] std::size_t name_of(std::size_t i) const { return name_of_[i]; }

  [[nodiscard]] std::optional<std::size_t> find(const Package& package) const;

  [[nodiscard]] PackageSet empty_set() const { return PackageSet(size()); }
  /// Packages this universe does not have are left out.
  [[nodiscard]] PackageSet set_of(std::span<const Package> packages) const;
  /// The members, sorted.
  [[nodiscard]] std::vector<Package> packages_of(const PackageSet& set) const;
  /// The members' name numbers, as a set over names().
  [[nodiscard]] PackageSet names_of(const PackageSet& set) const;
  /// True when two members are versions of one package, which no interpreter can hold.
  [[nodiscard]] bool has_conflict(const PackageSet& set) const;

 private:
  std::vector<Package> packages_;
  std::vector<std::size_t> name_of_;
  std::size_t names_ = 0;
};

}  // namespace sock::pkgcache
