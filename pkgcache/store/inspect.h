#pragma once

#include <filesystem>

#include "base/error.h"
#include "pkgcache/package.h"
#include "pkgcache/store/store.h"
#include "pkgcache/store/tree_copy.h"

namespace sock::pkgcache {

/// Whether a package may be in a store at all: a normalised name, a version, a digest, and a folder
/// name that a file system takes. kInvalid otherwise.
[[nodiscard]] Result<> check_identity(const Package& package);

/// Reads a package's tree, which may hold anything but is nobody else's to change, and gives its
/// files the modes and the owner that they have in a store: 0644 or 0755, the caller's.
///
/// Errors: those of Store::admit that concern the tree. `wheel` and `installed_at` of the result
/// are the caller's to fill in; `entry.metadata` is inside `tree`.
[[nodiscard]] Result<StoredPackage> inspect_tree(const std::filesystem::path& tree,
                                                 const Package& claimed, const TreeLimits& limits);

}  // namespace sock::pkgcache
