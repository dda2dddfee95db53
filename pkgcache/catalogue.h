#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/metadata.h"
#include "pkgcache/package.h"
#include "pkgcache/preload.h"
#include "pkgcache/requirement.h"

namespace sock::pkgcache {

/// The packages available to functions, each at the one version the host has.
///
/// A value; reads nothing after scan(). Safe to use from several threads as long as none calls
/// set_preload().
class Catalogue {
 public:
  /// Metadata that could not be used. The package is not available.
  struct Problem {
    std::filesystem::path path;
    std::string package;  ///< normalised, as far as it can be told; "" when it cannot
    std::string reason;
  };

  /// Reads the metadata in each folder, e.g. /usr/lib/python3/dist-packages. A package in two
  /// folders is taken from the first, as Python's search path does. Two versions of one package in
  /// the same folder make it unavailable: which one the code belongs to cannot be known.
  /// Dependencies that Debian's packaging removed from the metadata are restored from `dpkg`
  /// (see debian.h).
  ///
  /// kInvalid when a folder is missing or holds more than 50,000 files. Bad metadata is no error:
  /// see problems().
  [[nodiscard]] static Result<Catalogue> scan(const std::vector<std::filesystem::path>& folders,
                                              const std::filesystem::path& dpkg = "/var/lib/dpkg");

  /// By any spelling of the name; null when absent. Valid as long as the catalogue.
  [[nodiscard]] const Entry* find(std::string_view name) const;

  /// Sorted by name.
  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }
  [[nodiscard]] const std::vector<Problem>& problems() const { return problems_; }

  /// The exact closure of the requirements: every package they need, directly or not, sorted by
  /// name. Extras are followed where asked for; an extra that a package does not have adds nothing,
  /// as with pip.
  ///
  /// kInvalid, with a message for the person who deploys, when a package is missing or its
  /// version does not satisfy; for an indirect one it names the chain that leads there.
  [[nodiscard]] Result<std::vector<Package>> resolve(
      const std::vector<Requirement>& requirements) const;

  /// This catalogue with `entries`, of different names, in place of its own of those names.
  [[nodiscard]] Catalogue preferring(std::vector<Entry> entries) const;

  /// Modules to import ahead for a set of packages, in the packages' order, each once: the
  /// package's preload list where it has one, else its public top-level modules. Packages that are
  /// not in the catalogue add nothing.
  [[nodiscard]] std::vector<std::string> modules_of(const std::vector<Package>& packages) const;

  /// The same for one package, of the catalogue or from elsewhere.
  [[nodiscard]] std::vector<std::string> preloads_of(const Entry& entry) const;

  /// Replaces what is imported ahead for a package (see built_in_preload()); an empty list imports
  /// nothing. The package need not be present. kInvalid when a module is not a dotted name.
  [[nodiscard]] Result<> set_preload(std::string_view name, std::vector<std::string> modules);

 private:
  class Scanner;

  std::vector<Entry> entries_;
  std::vector<Problem> problems_;
  PreloadTable preload_ = built_in_preload();
};

}  // namespace sock::pkgcache
