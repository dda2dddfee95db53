#pragma once

#include <fcntl.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace sock::sandbox {

/// A control file of one cgroup that is used again and again: opened by the first use and kept
/// open, which leaves one system call of three or four. Every read sees the state of its moment
/// (seq_file starts anew at offset 0), but not for cgroup.procs of v1, whose list the kernel caches
/// for as long as it is open. An open file does not keep its directory from being removed (ENODEV
/// then).
///
/// Movable. Not thread safe.
class ControlFile {
 public:
  /// `access`: O_RDONLY, O_WRONLY or O_RDWR.
  explicit ControlFile(int access = O_RDONLY) : access_(access) {}

  /// The file named by a mount's descriptor and a path below it; the same ones at every call.
  [[nodiscard]] Result<std::uint64_t> number(int mount, const std::string& path);
  /// One "key value" line; kInternal if the key is absent.
  [[nodiscard]] Result<std::uint64_t> key(int mount, const std::string& path, std::string_view key);
  /// Replaces what the file says, with one system call.
  [[nodiscard]] Result<> write(int mount, const std::string& path, std::string_view text);

 private:
  [[nodiscard]] Result<> open(int mount, const std::string& path);
  /// The whole text, in `buffer`.
  [[nodiscard]] Result<std::string_view> read(int mount, const std::string& path,
                                              std::span<char> buffer);

  int access_;
  Fd fd_;
};

/// A control file's text that is one number ("max" reads as the largest); `path` is for the error.
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text, const std::string& path);
/// The number in a text's "key value" line.
[[nodiscard]] Result<std::uint64_t> parse_key(std::string_view text, std::string_view key,
                                              const std::string& path);

}  // namespace sock::sandbox
