#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace sock {

/// Reads a whole file of at most `limit` bytes; larger ones are refused, not cut.
/// `dirfd` may be AT_FDCWD. Works on procfs and cgroupfs, where st_size is 0.
[[nodiscard]] Result<std::string> read_file(int dirfd, const std::string& path,
                                            std::size_t limit = 1 << 20);

/// Writes `text` to an existing control file (procfs, cgroupfs) with one write(2).
[[nodiscard]] Result<> write_control(int dirfd, const std::string& path, std::string_view text);

/// Replaces `path` atomically and durably: temporary file, fsync, rename, fsync of the folder.
[[nodiscard]] Result<> replace_file(const std::filesystem::path& path, std::string_view text,
                                    unsigned mode = 0644);

/// fsync of a file or folder by path.
[[nodiscard]] Result<> sync_path(const std::filesystem::path& path);

/// open(2) with O_CLOEXEC added.
[[nodiscard]] Result<Fd> open_fd(int dirfd, const std::string& path, int flags, unsigned mode = 0);

}  // namespace sock
