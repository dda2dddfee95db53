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
#include "base/process.h"
#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

constexpr std::size_t kLargestStatus = 8 << 10;

/// The text after "Key:\t" up to the end of its line, which must be there.
std::optional<std::string_view> field(std::string_view status, std::string_view key) {
  const std::string wanted = "\n" + std::string(key) + ":\t";
  const auto at = status.find(wanted);
  if (at == std::string_view::npos) return std::nullopt;
  const auto begin = at + wanted.size();
  const auto end = status.find('\n', begin);
  if (end == std::string_view::npos) return std::nullopt;
  return status.substr(begin, end - begin);
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

/// A namespace is asked for through the pidfd where Linux has that (6.11): half of what looking a
/// link of /proc up costs, whose traces the kernel must also clear away when the process is reaped.
struct NamespaceKind {
  const char* name;
  unsigned long request;  ///< PIDFD_GET_…_NAMESPACE, <linux/pidfd.h> of newer headers
  /// What the process's must be. The cgroup namespace is made by the clone itself, once it is in
  /// its cgroup; nobody else can tell which it is, and the shell has stayed in ours.
  enum class Whose { kShell, kNetwork, kUser, kOwn } whose;
};
using Whose = NamespaceKind::Whose;
constexpr std::array<NamespaceKind, 7> kKinds{{{"pid", _IO(0xFF, 5), Whose::kShell},
                                               {"mnt", _IO(0xFF, 3), Whose::kShell},
                                               {"net", _IO(0xFF, 4), Whose::kNetwork},
                                               {"ipc", _IO(0xFF, 2), Whose::kShell},
                                               {"uts", _IO(0xFF, 10), Whose::kShell},
                                               {"user", _IO(0xFF, 9), Whose::kUser},
                                               {"cgroup", _IO(0xFF, 1), Whose::kOwn}}};

Result<ino_t> inode_by_path(pid_t pid, const NamespaceKind& kind) {
  struct stat info {};
  const std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind.name;
  if (::stat(path.c_str(), &info) < 0) return fail_errno("verify sandbox", path);
  return info.st_ino;
}

struct Namespace {
  ino_t inode = 0;
  Fd held;  ///< while it is open, the kernel need not make its file anew for the next look
};

Result<Namespace> look_at(const Subject& process, const NamespaceKind& kind) {
  Namespace found{0, Fd(::ioctl(process.pidfd, kind.request, 0))};
  if (!found.held) {
    auto inode = inode_by_path(process.pid, kind);
    if (!inode) return std::unexpected(inode.error());
    found.inode = *inode;
    return found;
  }
  struct stat info {};
  if (::fstat(found.held.get(), &info) < 0) return fail_errno("verify sandbox", kind.name);
  found.inode = info.st_ino;
  return found;
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

/// The shell is the first process of the process's pid namespace, so that one is the shell's; and
/// not ours, where the shell has another number. Two calls less than comparing, from Linux 6.11 on;
/// false where there is no telling.
bool shares_pid_namespace(const Subject& process, const Subject& shell) {
  constexpr auto kPidNamespace = kKinds.front().request;
  constexpr auto kGetPidIn = _IOR(0xb7, 8, int);  // NS_GET_PID_IN_PIDNS of newer <linux/nsfs.h>
  const Fd theirs(::ioctl(process.pidfd, kPidNamespace, 0));
  return theirs && shell.pid != 1 && ::ioctl(theirs.get(), kGetPidIn, shell.pid) == 1;
}

/// Only the shell's must be looked up; the others are known since they were made.
Result<> check_whose(ino_t inode, const NamespaceKind& kind, const Expectation& expected) {
  if (kind.whose == Whose::kOwn) return {};
  Result<Namespace> wanted;
  if (kind.whose == Whose::kShell) wanted = look_at(expected.shell, kind);
  if (!wanted) return std::unexpected(wanted.error());
  if (kind.whose == Whose::kNetwork) wanted->inode = expected.network;
  if (kind.whose == Whose::kUser) wanted->inode = expected.user;
  if (inode == wanted->inode) return {};
  return missing(std::string(kind.name) + " namespace", "it is not the sandbox's");
}

Result<> check_namespaces(const Subject& process, const Expectation& expected) {
  const std::size_t first = shares_pid_namespace(process, expected.shell) ? 1 : 0;
  for (std::size_t i = first; i < kKinds.size(); ++i) {
    const auto& kind = kKinds[i];
    const std::string layer = std::string(kind.name) + " namespace";
    const auto theirs = look_at(process, kind);
    if (!theirs) return std::unexpected(theirs.error());
    const ino_t ours = own_namespaces()[i];
    if (ours == 0) return missing(layer, "our own cannot be read");
    if (theirs->inode == ours) return missing(layer, "it is the host's");
    if (auto checked = check_whose(theirs->inode, kind, expected); !checked) return checked;
  }
  return {};
}

/// The line of cgroup v2; where there is none, attaching has shown its success by itself.
Result<> check_cgroup_by_name(const std::string& folder, const std::string& name) {
  auto text = read_file(AT_FDCWD, folder + "/cgroup", kLargestStatus);
  if (!text) return std::unexpected(text.error());
  const std::string lines = "\n" + *text;
  const auto at = lines.find("\n0::/");
  if (at == std::string::npos) return {};
  const auto path = lines.substr(at + 4, lines.find('\n', at + 1) - at - 4);
  if (!path.ends_with("/" + name)) return missing("cgroup", path + " instead of " + name);
  return {};
}

Result<> check_cgroup(const Subject& process, const std::string& folder,
                      const Expectation& expected) {
  if (expected.cgroup.empty()) return {};
  const auto told = pidfd_info(process.pidfd);
  struct stat group {};
  const bool proven = told && told->cgroup_id != 0 &&
                      ::fstat(expected.cgroup_folder, &group) == 0 &&
                      group.st_ino == told->cgroup_id;
  return proven ? Result<>{} : check_cgroup_by_name(folder, expected.cgroup);
}

/// One read: the kernel gives this file whole, and a line that were cut would count as absent,
/// which no check forgives.
Result<std::string> read_status(const std::string& folder) {
  auto file = open_fd(AT_FDCWD, folder + "/status", O_RDONLY);
  if (!file) return std::unexpected(file.error());
  std::string text(kLargestStatus, '\0');
  const ssize_t n = ::read(file->get(), text.data(), text.size());
  if (n < 0) return fail_errno("read", folder + "/status");
  text.resize(static_cast<std::size_t>(n));
  return text;
}

}  // namespace

Result<> verify_confined(const Subject& process, const Expectation& expected) {
  const std::string folder = "/proc/" + std::to_string(process.pid);
  auto status = read_status(folder);
  if (!status) return std::unexpected(status.error());
  if (auto checked = check_status(*status, expected); !checked) return checked;
  if (auto checked = check_cgroup(process, folder, expected); !checked) return checked;
  return check_namespaces(process, expected);
}

}  // namespace sock::sandbox
