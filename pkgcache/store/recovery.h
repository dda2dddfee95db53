#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pkgcache/store/store.h"

namespace sock::pkgcache {

struct Recovered {
  std::vector<StoredPackage> packages;
  std::vector<std::string> problems;
};

/// Brings a store's folders (see store.h), which exist, back to what they hold for good: everything
/// else is removed. Never fails as a whole: whatever cannot be used or removed is reported.
[[nodiscard]] Recovered recover_store(const std::filesystem::path& store);

}  // namespace sock::pkgcache
