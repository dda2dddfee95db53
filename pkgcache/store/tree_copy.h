#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "base/tree.h"

namespace sock::pkgcache {

/// What the files of one package may amount to.
struct TreeLimits {
  std::uint64_t entries = 100'000;   ///< files and folders
  std::uint64_t bytes = 2ULL << 30;  ///< of the files' content
  unsigned depth = 64;               ///< folders inside each other
};

/// Copies what a folder holds into `target`, which exists, is empty and nobody else's.
///
/// The source belongs to somebody hostile, who may change it meanwhile (it is a folder of a live
/// sandbox). `source` is a descriptor of it, O_PATH will do. Nothing outside of it is ever opened,
/// whatever is renamed or mounted there; nothing but regular files and folders is opened at all.
/// The copies belong to the caller, with mode 0644 or 0755 (folders, and files that their owner may
/// execute); times, attributes and holes are not kept.
///
/// kInvalid, naming the entry: symbolic and hard links, FIFOs, sockets, devices, set-id files,
/// other file systems, names that are not UTF-8 or hold control characters, more than the limits,
/// and files whose length changes while they are read. Whatever was copied by then remains in
/// `target`.
///
/// Blocks on the disk; how long is bounded by the limits. Thread safe.
[[nodiscard]] Result<TreeSize> copy_tree(int source, const std::filesystem::path& target,
                                         const TreeLimits& limits = {});

}  // namespace sock::pkgcache
