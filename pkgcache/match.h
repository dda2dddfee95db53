#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "pkgcache/package.h"

namespace sock::pkgcache {

/// Index of the candidate that saves a function with the packages `wanted` most: the one with the
/// most packages among those that hold nothing but packages of `wanted` at exactly its versions.
/// The first of equals; nothing when none fits. An empty candidate fits every function.
/// All sets sorted by name, as Catalogue::resolve gives them.
[[nodiscard]] std::optional<std::size_t> best_zygote(
    std::span<const std::vector<Package>> candidates, const std::vector<Package>& wanted);

}  // namespace sock::pkgcache
