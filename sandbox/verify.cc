#include "sandbox/verify.h"

#include <fcntl.h>
#include <linux/ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

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

/// Read through the pidfd where Linux has that (6.11): a third of what looking a link of /proc up
/// costs, whose traces the kernel must also clear away when the process is reaped.
struct NamespaceKind {
  const char* name;
  unsigned long request;  ///< PIDFD_GET_…_NAMESPACE, <linux/pidfd.h> of newer headers
};
constexpr std::array<NamespaceKind, 7> kKinds{{{"pid", _IO(0xFF, 5)},
                                               {"mnt", _IO(0xFF, 3)},
                                               {"net", _IO(0xFF, 4)},
                                               {"ipc", _IO(0xFF, 2)},
                                               {"uts", _IO(0xFF, 10)},
                                               {"user", _IO(0xFF, 9)},
                                               {"cgroup", _IO(0xFF, 1)}}};

Result<ino_t> inode_by_path(pid_t pid, const NamespaceKind& kind) {
  struct stat info {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind.name;
  if (::stat(path.c_str(), &info) < 0) return fail_errno("verify sandbox", path);
  return info.st_ino;
}

Result<ino_t> inode_of(const Subject& process, const NamespaceKind& kind) {
  struct stat info {};
  const Fd opened(::ioctl(process.pidfd, kind.request, 0));
  if (!opened) return inode_by_path(process.pid, kind);
  if (::fstat(opened.get(), &info) < 0) return fail_errno("verify sandbox", kind.name);
  return info.st_ino;
}

/// This process's namespaces; it never leaves them, so they are read once. 0 = unreadable, which no
/// namespace's number is.
const std::array<ino_t, kKinds.size()>& own_namespaces() {
  static const auto kOwn = [] {
    std::array<ino_t, kKinds.size()> inodes{};
    for (std::size_t i = 0; i < kKinds.size(); ++i) {
      inodes[i] = inode_by_path(::getpid(), kKinds[i]).value_or(0);
    }
    return inodes;
  }();
  return kOwn;
}

Result<> check_namespaces(const Subject& target, const Subject& shell) {
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    const auto kind = kKinds[i];
    const std::string layer = std::string(kind.name) + " namespace";
    const auto theirs = inode_of(target, kind);
    const auto shells = inode_of(shell, kind);
    if (!theirs) return std::unexpected(theirs.error());
    if (!shells) return std::unexpected(shells.error());
    const ino_t ours = own_namespaces()[i];
    if (ours == 0) return missing(layer, "our own cannot be read");
    if (*theirs == ours) return missing(layer, "it is the host's");
    // The cgroup namespace is made by the clone itself, once it is in its cgroup.
    const bool own = std::string_view(kind.name) == "cgroup";
    if (own == (*theirs == *shells)) {
      return missing(layer, own ? "it is the shell's" : "it is not the shell's");
    }
  }
  return {};
}

/// The line of cgroup v2; where there is none, attaching has shown its success by itself.
Result<> check_cgroup(const std::string& folder, const std::string& name) {
  auto text = read_file(AT_FDCWD, folder + "/cgroup", kLargestStatus);
  if (!text) return std::unexpected(text.error());
  const std::string lines = "\n" + *text;
  const auto at = lines.find("\n0::/");
  if (name.empty() || at == std::string::npos) return {};
  const auto path = lines.substr(at + 4, lines.find('\n', at + 1) - at - 4);
  if (!path.ends_with("/" + name)) return missing("cgroup", path + " instead of " + name);
  return {};
}

}  // namespace

Result<> verify_confined(const Subject& process, const Expectation& expected) {
  const std::string folder = "/proc/" + std::to_string(process.pid);
  auto status = read_file(AT_FDCWD, folder + "/status", kLargestStatus);
  if (!status) return std::unexpected(status.error());
  if (auto checked = check_status(*status, expected); !checked) return checked;
  if (auto checked = check_cgroup(folder, expected.cgroup); !checked) return checked;
  return check_namespaces(process, expected.shell);
}

}  // namespace sock::sandbox
