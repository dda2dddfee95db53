#include "netns-pool/setting_inventory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "read settings";

// As "folder/name".
constexpr std::string_view kLeftOut[] = {
    "netfilter/nf_conntrack_count", "ipv4/tcp_available_congestion_control",
    "ipv4/tcp_available_ulp",       "mptcp/available_path_managers",
    "mptcp/available_schedulers",
};

class Reader {
 public:
  Result<> folder(int parent, const std::string& name, const std::string& path) {
    auto opened = open_fd(parent, name, O_RDONLY | O_DIRECTORY);
    if (!opened) return std::unexpected(opened.error());
    std::vector<std::string> folders;
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
          folders.emplace_back(entry_name);
        } else if (auto read = file(opened->get(), entry.d_name, path); !read) {
          return read;
        }
      }
    }
    for (const auto& child : folders) {
      if (auto read = folder(opened->get(), child, path + child + "/"); !read) return read;
    }
    return {};
  }

  std::string text;

 private:
  Result<> file(int folder, const char* name, const std::string& path) {
    const std::string full = path + name;
    if (std::ranges::find(kLeftOut, full) != std::end(kLeftOut)) return {};
    const Fd opened(::openat(folder, name, O_RDONLY | O_CLOEXEC));
    if (!opened && (errno == EACCES || errno == ENOENT)) return {};  // to be written only
    if (!opened) return fail_errno(kStep, full);
    // The kernel allocates and clears what the reader offers. Most values are a number.
    ssize_t size = ::pread(opened.get(), small_.data(), small_.size(), 0);
    const char* value = small_.data();
    if (size == static_cast<ssize_t>(small_.size())) {
      large_.resize(kLargest);
      size = ::pread(opened.get(), large_.data(), large_.size(), 0);
      value = large_.data();
      if (size == static_cast<ssize_t>(kLargest)) return fail_errno(kStep, full, EMSGSIZE);
    }
    // Unset secrets are EIO; files to be written only may be open to root.
    text += full;
    text += '=';
    if (size < 0) {
      text += "unreadable";
    } else {
      for (const char c : std::string_view(value, static_cast<std::size_t>(size))) {
        text += c == '\n' || c == '\t' ? ' ' : c;
      }
      if (text.back() == ' ') text.pop_back();
    }
    text += '\n';
    return {};
  }

  static constexpr std::size_t kLargest = 65536;
  std::array<char, 256> small_;
  std::string large_;
};

}  // namespace

Result<std::string> read_settings() {
  Reader reader;
  reader.text.reserve(std::size_t{40} << 10U);
  auto read = reader.folder(AT_FDCWD, "/proc/sys/net", "");
  if (!read) return std::unexpected(read.error());
  return std::move(reader.text);
}

}  // namespace sock::netns
