#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/error.h"

namespace sock {

struct TreeSize {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Called with each file's folder and name, and with each folder and "." after its contents.
using TreeVisitor =
    std::function<Result<>(int folder, const char* name, const struct stat& status)>;

/// Visits everything beneath a folder, and the folder itself last; an error ends the visit.
/// Symbolic links are not followed. kInvalid when it holds anything but files and folders, or is
/// nested more than 300 folders deep.
[[nodiscard]] Result<> walk_tree(const std::filesystem::path& folder, const TreeVisitor& visit);

/// Counts the regular files beneath a folder. Errors as walk_tree's.
[[nodiscard]] Result<TreeSize> measure_tree(const std::filesystem::path& folder);

/// Makes every file and folder of the tree durable (fsync(2), or syncfs(2) when they are many).
[[nodiscard]] Result<> sync_tree(const std::filesystem::path& folder);

/// Removes the tree, which may be missing. Symbolic links are removed, not followed.
[[nodiscard]] Result<> remove_tree(const std::filesystem::path& folder);

}  // namespace sock
