#pragma once

#include <span>
#include <string>
#include <vector>

#include "pkgcache/package.h"

namespace sock::pkgcache {

/// Where Python finds what a function may import (sys.path), as sandboxes see it. Immutable; safe
/// from any thread.
class SearchPath {
 public:
  /// `standard`: the standard library's folders. `host`: the folders of the host's own packages.
  SearchPath(std::vector<std::string> standard, std::vector<std::string> host)
      : standard_(std::move(standard)), host_(std::move(host)) {}

  /// The standard library, each of the store's packages, and last, unless the store has every one
  /// of them, what the host has: there the packages' own versions come first, and a function that
  /// has nothing to do with the host's packages cannot import one by accident.
  [[nodiscard]] std::vector<std::string> of(std::span<const Package> packages) const;

  /// The same without the standard library.
  [[nodiscard]] std::vector<std::string> folders_of(std::span<const Package> packages) const;

 private:
  std::vector<std::string> standard_;
  std::vector<std::string> host_;
};

}  // namespace sock::pkgcache
