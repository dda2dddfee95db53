#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>

#include "base/error.h"
#include "bench/pkgcache/sample.h"

namespace sock::bench {

/// Name → names that it requires.
using Requirements = std::map<std::string, std::set<std::string>>;

/// Requirements that may be, for the data has none: a package requires what accompanies it in each
/// of the functions. Without cycles, and without what follows from others.
[[nodiscard]] Requirements infer_requirements(std::span<const pkgcache::Function> functions);

/// The module of a package: "synthetic_numpy" for "synthetic-numpy".
[[nodiscard]] std::string module_of(const std::string& package);

/// Source of a module that imports what it requires, then holds the memory (MiB, every page
/// written) and has burnt the CPU milliseconds of `cost`, taking the memory included. It burns by
/// the thread's CPU clock: however fast the host or busy its other processes, it is the same.
[[nodiscard]] std::string module_source(const pkgcache::PackageCost& cost,
                                        const std::set<std::string>& requirements);

/// Makes a wheel of each of the sample's packages in `folder`, which exists.
[[nodiscard]] Result<> write_wheels(const std::filesystem::path& folder, const Sample& sample);

}  // namespace sock::bench
