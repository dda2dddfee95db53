#include "sandbox/control_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/file.h"

namespace sock::sandbox {
namespace {

/// memory.stat is the largest of them and not read here; the others stay below a kilobyte.
using Buffer = std::array<char, 4096>;

}  // namespace

Result<> ControlFile::open(int mount, const std::string& path) {
  if (fd_) return {};
  auto opened = open_fd(mount, path, access_);
  if (!opened) return std::unexpected(opened.error());
  fd_ = std::move(*opened);
  return {};
}

Result<std::string_view> ControlFile::read(int mount, const std::string& path,
                                           std::span<char> buffer) {
  if (auto opened = open(mount, path); !opened) return std::unexpected(opened.error());
  const ssize_t n = ::pread(fd_.get(), buffer.data(), buffer.size(), 0);
  if (n < 0) return fail_errno("read", path);
  if (static_cast<std::size_t>(n) == buffer.size()) {
    return fail(Code::kInternal, "read", path + " is larger than any control file");
  }
  return std::string_view(buffer.data(), static_cast<std::size_t>(n));
}

Result<std::uint64_t> ControlFile::number(int mount, const std::string& path) {
  Buffer buffer;
  auto text = read(mount, path, buffer);
  if (!text) return std::unexpected(text.error());
  return parse_number(*text, path);
}

Result<std::uint64_t> ControlFile::key(int mount, const std::string& path, std::string_view key) {
  Buffer buffer;
  auto text = read(mount, path, buffer);
  if (!text) return std::unexpected(text.error());
  return parse_key(*text, key, path);
}

Result<> ControlFile::write(int mount, const std::string& path, std::string_view text) {
  if (auto opened = open(mount, path); !opened) return opened;
  const ssize_t n = ::pwrite(fd_.get(), text.data(), text.size(), 0);
  if (n < 0) return fail_errno("write", path + " ← " + std::string(text));
  if (static_cast<std::size_t>(n) != text.size()) {
    return fail(Code::kInternal, "write", path + ": short write");
  }
  return {};
}

Result<std::uint64_t> parse_number(std::string_view text, const std::string& path) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text == "max") return std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::kInternal, "read", path + " is not a number");
  }
  return value;
}

Result<std::uint64_t> parse_key(std::string_view text, std::string_view key,
                                const std::string& path) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return parse_number(line.substr(key.size() + 1), path);
    }
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return fail(Code::kInternal, "read", path + " has no " + std::string(key));
}

}  // namespace sock::sandbox
