#pragma once

#include <span>
#include <string>
#include <vector>

namespace sock::pkgcache {

/// Something that importing a package left otherwise than it was; kinds as measure.py has them.
struct Change {
  std::string kind;
  std::string what;
};

/// Why zygotes must not import a package that did this; empty: they may. What is not known to be
/// harmless counts as harmful. The texts may be hostile; the reasons are printable.
[[nodiscard]] std::vector<std::string> vet(std::span<const Change> changes);

}  // namespace sock::pkgcache
