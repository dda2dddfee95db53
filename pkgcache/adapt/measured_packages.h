#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "pkgcache/package.h"

namespace sock::pkgcache {

/// What is known of a package that zygotes may import; its dependencies are loaded.
struct MeasuredPackage {
  double ms = 0;    ///< of importing it
  double mb = 0;    ///< private memory, units of 2^20 bytes
  double vmas = 0;  ///< mappings that come with it; 0: estimated from the memory
  /// Names of the packages that it imports itself or may; those that a function lacks do not count.
  std::vector<std::string> needs;
};

/// The packages that zygotes may hold. What is not here (not measured yet, quarantined, gone) is in
/// no zygote, nor is anything that needs it.
using MeasuredPackages = std::map<Package, MeasuredPackage>;

}  // namespace sock::pkgcache
