#pragma once

#include <cstdint>
#include <filesystem>

#include "base/error.h"

namespace sock {

struct TreeSize {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Counts the regular files beneath a folder. kInvalid when it holds anything but files and
/// folders, or is nested more than 300 folders deep. Symbolic links are not followed.
[[nodiscard]] Result<TreeSize> measure_tree(const std::filesystem::path& folder);

/// Makes every file and folder of the tree durable (fsync(2), or syncfs(2) when they are many).
[[nodiscard]] Result<> sync_tree(const std::filesystem::path& folder);

/// Removes the tree, which may be missing. Symbolic links are removed, not followed.
[[nodiscard]] Result<> remove_tree(const std::filesystem::path& folder);

}  // namespace sock
