#include "base/file.h"

#include <fcntl.h>
#include <unistd.h>

namespace sock {

Result<Fd> open_fd(int dirfd, const std::string& path, int flags, unsigned mode) {
  Fd fd(::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return fail_errno("open", path);
  return fd;
}

Result<std::string> read_file(int dirfd, const std::string& path, std::size_t limit) {
  auto fd = open_fd(dirfd, path, O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = ::read(fd->get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read", path);
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > limit) {
      return fail(Code::kInvalid, "read",
                  path + " is larger than " + std::to_string(limit) + " bytes");
    }
    text.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<> write_control(int dirfd, const std::string& path, std::string_view text) {
  auto fd = open_fd(dirfd, path, O_WRONLY);
  if (!fd) return std::unexpected(fd.error());
  const ssize_t n = ::write(fd->get(), text.data(), text.size());
  if (n < 0) return fail_errno("write", path + " ← " + std::string(text));
  if (static_cast<std::size_t>(n) != text.size()) {
    return fail(Code::kInternal, "write", path + ": short write");
  }
  return {};
}

Result<> sync_path(const std::filesystem::path& path) {
  auto fd = open_fd(AT_FDCWD, path.string(), O_RDONLY);
  if (!fd) return std::unexpected(fd.error());
  if (::fsync(fd->get()) < 0) return fail_errno("fsync", path.string());
  return {};
}

Result<> replace_file(const std::filesystem::path& path, std::string_view text, unsigned mode) {
  const std::string temporary = path.string() + ".new";
  auto fd = open_fd(AT_FDCWD, temporary, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (!fd) return std::unexpected(fd.error());
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd->get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write", temporary);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fsync(fd->get()) < 0) return fail_errno("fsync", temporary);
  if (::rename(temporary.c_str(), path.c_str()) < 0) return fail_errno("rename", path.string());
  return sync_path(path.parent_path());
}

}  // namespace sock
