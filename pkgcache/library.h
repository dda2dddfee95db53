#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "pkgcache/catalogue.h"
#include "pkgcache/metadata.h"
#include "pkgcache/package.h"
#include "pkgcache/search_path.h"

namespace sock::pkgcache {

class Store;

/// What zygotes and functions can import, and from where: the host's packages and the store's. What
/// it is given must outlive it. As safe to share as they are.
class Library {
 public:
  Library(const Catalogue& catalogue, const Store& store, const SearchPath& paths)
      : catalogue_(catalogue), store_(store), paths_(paths) {}

  /// What is known of a package; nothing when it is not there, or not at that version.
  [[nodiscard]] std::optional<Entry> find(const Package& package) const;

  /// Modules to import ahead for a set of packages, in the packages' order, each once; see
  /// Catalogue::modules_of(). Packages that are not there add nothing.
  [[nodiscard]] std::vector<std::string> modules_of(std::span<const Package> packages) const;

  /// Those of `within` that `package` needs, directly or not, itself left out; sorted as they are.
  [[nodiscard]] std::vector<Package> needs_of(const Package& package,
                                              std::span<const Package> within) const;

  [[nodiscard]] const SearchPath& paths() const { return paths_; }

 private:
  const Catalogue& catalogue_;
  const Store& store_;
  const SearchPath& paths_;
};

}  // namespace sock::pkgcache
