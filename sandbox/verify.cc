#include "sandbox/verify.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

constexpr std::size_t kLargestStatus = 64 << 10;

/// The text after "Key:\t" up to the end of its line.
std::optional<std::string_view> field(std::string_view status, std::string_view key) {
  const std::string wanted = "\n" + std::string(key) + ":\t";
  const auto at = status.find(wanted);
  if (at == std::string_view::npos) return std::nullopt;
  const auto begin = at + wanted.size();
  return status.substr(begin, status.find('\n', begin) - begin);
}

std::unexpected<Error> missing(std::string_view layer, std::string detail) {
  return fail(Code::kInternal, "verify sandbox",
              std::string(layer) + " is not as it must be: " + detail);
}

/// Filters that this process was started with, in a container for example, and has passed on.
int own_filters() {
  static const int kOwn = [] {
    const auto status = read_file(AT_FDCWD, "/proc/self/status", kLargestStatus);
    const auto count = status ? field(*status, "Seccomp_filters") : std::nullopt;
    return count ? std::atoi(std::string(*count).c_str()) : 0;
  }();
  return kOwn;
}

Result<> check_status(std::string_view status, const Expectation& expected) {
  const std::string id = std::to_string(expected.host_uid);
  const std::string ids = id + "\t" + id + "\t" + id + "\t" + id;
  constexpr std::string_view kNone = "0000000000000000";
  const std::string filters = std::to_string(own_filters() + kSeccompFilters);
  const std::array<std::array<std::string_view, 2>, 12> wanted{{{"Seccomp", "2"},
                                                                {"Seccomp_filters", filters},
                                                                {"NoNewPrivs", "1"},
                                                                {"CapInh", kNone},
                                                                {"CapPrm", kNone},
                                                                {"CapEff", kNone},
                                                                {"CapBnd", kNone},
                                                                {"CapAmb", kNone},
                                                                {"Uid", ids},
                                                                {"Gid", ids},
                                                                {"Threads", "1"},
                                                                {"Groups", " "}}};
  for (const auto& [key, value] : wanted) {
    const auto found = field(status, key);
    if (!found || *found != value) {
      return missing(key,
                     std::string(found.value_or("absent")) + " instead of " + std::string(value));
    }
  }
  return {};
}

Result<ino_t> namespace_inode(const std::string& folder, std::string_view kind) {
  struct stat info {};
  const std::string path = folder + "/ns/" + std::string(kind);
  if (::stat(path.c_str(), &info) < 0) return fail_errno("verify sandbox", path);
  return info.st_ino;
}

constexpr std::array<std::string_view, 7> kKinds{"pid", "mnt",  "net",   "ipc",
                                                 "uts", "user", "cgroup"};

/// This process's namespaces; it never leaves them, so they are read once. 0 = unreadable, which no
/// namespace's number is.
const std::array<ino_t, kKinds.size()>& own_namespaces() {
  static const auto kOwn = [] {
    std::array<ino_t, kKinds.size()> inodes{};
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
      inodes[i] = namespace_inode("/proc/self", kKinds[i]).value_or(0);
    }
    return inodes;
  }();
  return kOwn;
}

Result<> check_namespaces(const std::string& target, const std::string& shell) {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const auto kind = kKinds[i];
    const auto theirs = namespace_inode(target, kind);
    const auto shells = namespace_inode(shell, kind);
    if (!theirs) return std::unexpected(theirs.error());
    if (!shells) return std::unexpected(shells.error());
    const ino_t ours = own_namespaces()[i];
    if (ours == 0) return missing(std::string(kind) + " namespace", "our own cannot be read");
    if (*theirs == ours) return missing(std::string(kind) + " namespace", "it is the host's");
    // The cgroup namespace is made by the clone itself, once it is in its cgroup.
    const bool own = kind == "cgroup";
    if (own == (*theirs == *shells)) {
      return missing(std::string(kind) + " namespace",
                     own ? "it is the shell's" : "it is not the shell's");
    }
  }
  return {};
}

}  // namespace

Result<> verify_confined(pid_t pid, const Expectation& expected) {
  const std::string folder = "/proc/" + std::to_string(pid);
  auto status = read_file(AT_FDCWD, folder + "/status", kLargestStatus);
  if (!status) return std::unexpected(status.error());
  if (auto checked = check_status(*status, expected); !checked) return checked;
  return check_namespaces(folder, "/proc/" + std::to_string(expected.shell));
}

}  // namespace sock::sandbox
