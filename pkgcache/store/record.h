#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "pkgcache/store/store.h"

namespace sock::pkgcache {

/// A stored package as a line of JSON:
///
///   {"format":1,"name","version","digest","wheel","files","bytes","installed_at","metadata",
///    "modules":[…],"requires":[…]}
[[nodiscard]] std::string to_record(const StoredPackage& package);

/// Reads one back. `packages` is the folder that the package's own is in. kInvalid unless every
/// member is there and has a value that could have been written.
[[nodiscard]] Result<StoredPackage> from_record(std::string_view text,
                                                const std::filesystem::path& packages);

}  // namespace sock::pkgcache
