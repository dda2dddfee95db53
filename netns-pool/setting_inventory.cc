#include "netns-pool/setting_inventory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "base/file.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "read settings";
constexpr const char* kRoot = "/proc/sys/net";

// As "folder/name".
constexpr std::string_view kLeftOut[] = {
    "netfilter/nf_conntrack_count", "ipv4/tcp_available_congestion_control",
    "ipv4/tcp_available_ulp",       "mptcp/available_path_managers",
    "mptcp/available_schedulers",
};

}  // namespace

Result<> SettingReader::list(int parent, const std::string& name, const std::string& path) {
  auto opened = open_fd(parent, name, O_RDONLY | O_DIRECTORY);
  if (!opened) return std::unexpected(opened.error());
  Folder folder{path, {}};
  std::vector<std::string> children;
  alignas(dirent64) std::array<char, 8192> entries;
  for (;;) {
    const long size = ::syscall(SYS_getdents64, opened->get(), entries.data(), entries.size());
    if (size < 0) return fail_errno(kStep, path);
    if (size == 0) break;
    for (long at = 0; at < size;) {
      const auto& entry = *reinterpret_cast<const dirent64*>(entries.data() + at);
      at += entry.d_reclen;
      const std::string_view entry_name = entry.d_name;
      if (entry_name == "." || entry_name == "..") continue;
      if (entry.d_type == DT_DIR) {
        children.emplace_back(entry_name);
      } else if (std::ranges::find(kLeftOut, path + entry.d_name) == std::end(kLeftOut)) {
        folder.names.append(entry.d_name, entry_name.size() + 1);
      }
    }
  }
  if (!folder.names.empty()) folders_.push_back(std::move(folder));
  for (const auto& child : children) {
    if (auto listed = list(opened->get(), child, path + child + "/"); !listed) return listed;
  }
  return {};
}

Result<std::string> SettingReader::read() {
  auto root = open_fd(AT_FDCWD, kRoot, O_PATH | O_DIRECTORY);
  if (!root) return std::unexpected(root.error());
  if (folders_.empty()) {
    auto listed = list(AT_FDCWD, kRoot, "");
    if (!listed) {
      folders_.clear();
      return std::unexpected(listed.error());
    }
  }
  std::string text;
  text.reserve(std::size_t{40} << 10U);
  for (const auto& folder : folders_) {
    if (auto done = read_folder(root->get(), folder, text); !done) {
      return std::unexpected(done.error());
    }
  }
  text.shrink_to_fit();
  return text;
}

Result<> SettingReader::read_folder(int root, const Folder& folder, std::string& text) {
  auto opened = open_fd(root, folder.path.empty() ? "." : folder.path, O_PATH | O_DIRECTORY);
  if (!opened && opened.error().sys_errno == ENOENT) return {};  // went with its link
  if (!opened) return std::unexpected(opened.error());
  for (std::size_t at = 0; at < folder.names.size();) {
    const char* name = folder.names.c_str() + at;
    at += std::string_view(name).size() + 1;
    const auto before = text.size();
    text += folder.path;
    text += name;
    text += '=';
    const auto value = text.size();
    if (auto done = read_file(opened->get(), name, text); !done) return done;
    if (text.size() == value) {
      text.resize(before);
    } else {
      text += '\n';
    }
  }
  return {};
}

/// Adds nothing for a file that is not there or not to be read.
Result<> SettingReader::read_file(int folder, const char* name, std::string& text) {
  const Fd opened(::openat(folder, name, O_RDONLY | O_CLOEXEC));
  if (!opened && (errno == EACCES || errno == ENOENT)) return {};
  if (!opened) return fail_errno(kStep, name);
  // The kernel allocates and clears as much as the reader offers, and most values are a number.
  constexpr std::size_t kLargest = 65536;
  std::string large;
  ssize_t size = ::pread(opened.get(), small_.data(), small_.size(), 0);
  const char* value = small_.data();
  if (size == static_cast<ssize_t>(small_.size())) {
    large.resize(kLargest);
    size = ::pread(opened.get(), large.data(), large.size(), 0);
    value = large.data();
    if (size == static_cast<ssize_t>(kLargest)) return fail_errno(kStep, name, EMSGSIZE);
  }
  if (size < 0) {  // a secret that is not set, or a file that only takes commands
    text += "unreadable";
    return {};
  }
  text += '\'';
  for (const char c : std::string_view(value, static_cast<std::size_t>(size))) {
    text += c == '\n' || c == '\t' ? ' ' : c;
  }
  if (text.back() == ' ') text.pop_back();
  text += '\'';
  return {};
}

}  // namespace sock::netns
