#include "sandbox/host.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/process.h"
#include "sandbox/cgroup_layout.h"

namespace sock::sandbox {
namespace {

constexpr KernelVersion kOldestKernel{5, 14};
constexpr KernelVersion kPeakResetKernel{6, 12};
constexpr std::uint64_t kFewNamespaces = 1000;
constexpr std::string_view kCgroupRoot = "/sys/fs/cgroup";

HostCheck ok(std::string name, std::string detail) {
  return {std::move(name), HostCheck::kOk, std::move(detail), ""};
}
HostCheck warn(std::string name, std::string detail, std::string advice) {
  return {std::move(name), HostCheck::kWarn, std::move(detail), std::move(advice)};
}
HostCheck bad(std::string name, std::string detail, std::string advice) {
  return {std::move(name), HostCheck::kFail, std::move(detail), std::move(advice)};
}

std::string text_of(int error) { return std::generic_category().message(error); }

void append(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

KernelVersion running_kernel() {
  utsname name{};
  if (::uname(&name) < 0) return {};
  return parse_kernel_release(name.release).value_or(KernelVersion{});
}

std::optional<std::uint64_t> read_count(const std::string& path) {
  const auto text = read_file(AT_FDCWD, path);
  if (!text) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
  if (parsed.ec != std::errc{}) return std::nullopt;
  return value;
}

struct NeededCapability {
  cap_value_t value;
  std::string_view name;
};
// What each is for: chown of delegated cgroup files; private folders of other users; signals to,
// and namespaces and memory maps of, processes with other ids; id maps; empty capability sets;
// veth and addresses; entering mount namespaces; mounts, namespaces, setns.
constexpr std::array<NeededCapability, 10> kNeeded{{
    {CAP_CHOWN, "CAP_CHOWN"},
    {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},
    {CAP_KILL, "CAP_KILL"},
    {CAP_SETGID, "CAP_SETGID"},
    {CAP_SETUID, "CAP_SETUID"},
    {CAP_SETPCAP, "CAP_SETPCAP"},
    {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    {CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
    {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
}};

HostCheck check_privilege() {
  const std::string name = "privilege";
  if (::geteuid() != 0) {
    return bad(name, "not root; namespaces, cgroups and mounts of sandboxes cannot be set up",
               "run sockd as root");
  }
  cap_t const caps = ::cap_get_proc();
  if (caps == nullptr) return bad(name, "cap_get_proc: " + text_of(errno), "");
  const auto has = [&](cap_value_t value) {
    cap_flag_value_t flag = CAP_CLEAR;
    return ::cap_get_flag(caps, value, CAP_EFFECTIVE, &flag) == 0 && flag == CAP_SET;
  };
  std::string missing;
  for (const auto& needed : kNeeded) {
    if (!has(needed.value)) append(missing, needed.name);
  }
  const bool resource = has(CAP_SYS_RESOURCE);
  ::cap_free(caps);
  if (!missing.empty()) {
    return bad(name, "root, but without " + missing + "; sandboxes cannot be set up",
               "grant them to sockd (CapabilityBoundingSet= of its unit, --cap-add of its "
               "container)");
  }
  if (!resource) {
    return warn(name,
                "root without CAP_SYS_RESOURCE; hard resource limits cannot be raised and sockd "
                "cannot protect itself from the OOM killer",
                "grant CAP_SYS_RESOURCE, or start sockd with a high hard limit on open files");
  }
  return ok(name, "root with every capability sockd needs");
}

HostCheck check_kernel() {
  const std::string name = "kernel";
  utsname info{};
  if (::uname(&info) < 0) return bad(name, "uname: " + text_of(errno), "");
  const std::string release = info.release;
  const auto version = parse_kernel_release(release);
  if (!version || *version < kOldestKernel) {
    return bad(name, "Linux " + release + "; cgroup.kill and the calls sock builds on need 5.14",
               "boot Linux 5.14 or newer (Debian 12 has 6.1)");
  }
  return ok(name, "Linux " + release);
}

/// Whether a call exists, told from arguments that cannot do anything. EPERM is a filter's way of
/// saying no (container engines), for calls that would answer otherwise to these arguments.
bool answers(long result) { return result >= 0 || (errno != ENOSYS && errno != EPERM); }

HostCheck check_process_api() {
  const std::string name = "process-api";
  std::string missing;
  if (!answers(::syscall(SYS_clone3, nullptr, 0))) append(missing, "clone3");
  if (!answers(::syscall(SYS_pidfd_open, -1, 0))) append(missing, "pidfd_open");
  if (!answers(::syscall(SYS_pidfd_send_signal, -1, 0, nullptr, 0))) {
    append(missing, "pidfd_send_signal");
  }
  if (!answers(::syscall(SYS_close_range, 1, 0, 0))) append(missing, "close_range");
  if (missing.empty()) return ok(name, "clone3, pidfd_open, pidfd_send_signal, close_range");
  return bad(name, "no " + missing + "; sandboxes cannot be created and held safely",
             "update the kernel, or lift the seccomp filter of the container sockd runs in");
}

HostCheck check_mount_api() {
  const std::string name = "mount-api";
  std::string missing;
  if (!answers(::syscall(SYS_open_tree, -1, "", 0))) append(missing, "open_tree");
  if (!answers(::syscall(SYS_move_mount, -1, "", -1, "", 0))) append(missing, "move_mount");
  if (!answers(::syscall(SYS_fsopen, nullptr, 0))) append(missing, "fsopen");
  if (!answers(::syscall(SYS_mount_setattr, -1, "", 0, nullptr, 0))) {
    append(missing, "mount_setattr");
  }
  if (missing.empty()) return ok(name, "open_tree, move_mount, fsopen, mount_setattr");
  const bool may = ::geteuid() == 0;
  return bad(name,
             (may ? "no " : "not usable as this user: ") + missing +
                 "; the root of a sandbox cannot be built",
             may ? "update the kernel to 5.14, or lift the seccomp filter sockd runs under"
                 : "run as root");
}

HostCheck check_cgroup(const std::string& parent) {
  const std::string name = "cgroup";
  if (const auto valid = check_cgroup_parent(parent); !valid) {
    return bad(name, valid.error().describe(), "correct the cgroup parent in the configuration");
  }
  const auto mounts = read_cgroup_mounts(kCgroupRoot);
  if (!mounts) {
    return bad(name, mounts.error().describe(),
               "boot with systemd.unified_cgroup_hierarchy=1 for pure cgroup v2");
  }
  std::string detail(to_string(mounts->layout));
  for (const auto& hierarchy : mounts->hierarchies) {
    if (hierarchy.read_only) {
      return bad(name,
                 detail + ": " + hierarchy.mount_point +
                     " is mounted read-only; limits "
                     "cannot be set",
                 "remount it writable, or give the container a writable cgroup mount");
    }
    detail += (&hierarchy == &mounts->hierarchies.front() ? ": " : ", ") + hierarchy.mount_point;
  }
  if (mounts->layout == CgroupLayout::kV1) {
    return warn(name,
                detail +
                    "; without a v2 hierarchy sandboxes are killed process by process and "
                    "none can be born in its cgroup",
                "mount cgroup2 at /sys/fs/cgroup/unified");
  }
  if (mounts->layout == CgroupLayout::kHybrid) return ok(name, detail);

  const std::string& mount = mounts->hierarchies.front().mount_point;
  const auto offered = read_file(AT_FDCWD, mount + "/cgroup.controllers");
  if (!offered) return bad(name, offered.error().describe(), "");
  std::string missing;
  for (const auto& controller : missing_controllers(*offered)) append(missing, controller);
  if (!missing.empty()) {
    return bad(name, detail + " lacks the controllers: " + missing + "; limits cannot be set",
               "remove cgroup_disable= from the kernel command line, and delegate the controllers "
               "to the container or unit sockd runs in");
  }
  if (running_kernel() < kPeakResetKernel) {
    return ok(name, detail +
                        " with memory, pids and cpu; before Linux 6.12 the peak cannot be "
                        "reset, so cgroups are made anew instead of reused");
  }
  return ok(name, detail + " with memory, pids and cpu");
}

/// Starts a child with these namespaces that leaves at once; 0 or the errno of clone3.
int try_clone(std::uint64_t flags) {
  int pidfd = -1;
  clone_args args{};
  // No exit signal: the daemon's SIGCHLD handling does not see this child.
  args.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    ::syscall(SYS_exit_group, 0);
    __builtin_unreachable();
  }
  if (pid < 0) return errno;
  // The destructor kills it and reaps it; it has nothing to do that it could be kept from.
  const Process child(Fd(pidfd), static_cast<pid_t>(pid));
  return 0;
}

HostCheck check_namespaces() {
  const std::string name = "user-namespaces";
  const auto allowed = read_count("/proc/sys/user/max_user_namespaces");
  if (allowed == std::uint64_t{0}) {
    return bad(name, "user.max_user_namespaces is 0; sandboxes have one user namespace",
               "sysctl -w user.max_user_namespaces=1000");
  }
  constexpr std::uint64_t kOthers =
      CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET;
  const int error = try_clone(CLONE_NEWUSER | kOthers);
  if (error == 0) {
    return ok(name, "user, pid, mount, ipc, uts, cgroup and net namespaces can be created");
  }
  const int alone = try_clone(CLONE_NEWUSER);
  if (alone != 0) {
    return bad(name, "a user namespace cannot be created: " + text_of(alone),
               alone == EPERM ? "do not run sockd in a chroot (use pivot_root or switch_root), and "
                                "lift the policy that forbids user namespaces"
                              : "raise user.max_user_namespaces; see user_namespaces(7)");
  }
  return bad(name,
             "a user namespace can be created, but not pid, mount, ipc, uts, cgroup and net "
             "namespaces with it: " +
                 text_of(error),
             "raise the limits in /proc/sys/user, and see that the kernel has CONFIG_PID_NS, "
             "CONFIG_IPC_NS, CONFIG_UTS_NS, CONFIG_NET_NS and CONFIG_CGROUPS");
}

HostCheck check_net_namespaces() {
  const std::string name = "net-namespaces";
  const auto allowed = read_count("/proc/sys/user/max_net_namespaces");
  if (!allowed) {
    return bad(name, "no /proc/sys/user/max_net_namespaces; the kernel has no network namespaces",
               "use a kernel with CONFIG_NET_NS");
  }
  const std::string detail = "at most " + std::to_string(*allowed) + " network namespaces";
  if (*allowed == 0) {
    return bad(name, detail + "; every sandbox has one", "sysctl -w user.max_net_namespaces=10000");
  }
  if (*allowed < kFewNamespaces) {
    return warn(name, detail + "; the pool and the calls in flight together stay below it",
                "sysctl -w user.max_net_namespaces=10000");
  }
  return ok(name, detail);
}

HostCheck check_seccomp() {
  const std::string name = "seccomp";
  const std::uint32_t action = SECCOMP_RET_KILL_PROCESS;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) {
    return ok(name, "filters that can kill the process");
  }
  return bad(name,
             "no seccomp filter with kill_process: " + text_of(errno) +
                 "; sandboxes would have every system call",
             "use a kernel with CONFIG_SECCOMP_FILTER");
}

HostCheck check_tid_address() {
  const std::string name = "tid-address";
  int* address = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &address) == 0) {
    return ok(name, "PR_GET_TID_ADDRESS tells where glibc keeps the thread id");
  }
  return bad(name,
             "no PR_GET_TID_ADDRESS (" + text_of(errno) +
                 "); clones of a zygote would keep its thread id, so zygotes refuse to start",
             "use a kernel with CONFIG_CHECKPOINT_RESTORE");
}

HostCheck check_landlock() {
  const std::string name = "landlock";
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return ok(name, abi > 0 ? "ABI " + std::to_string(abi)
                          : "not available; sandboxes do not depend on it");
}

HostCheck check_interpreter() {
  const std::string name = "interpreter";
  std::string missing;
  for (const std::string_view folder : {"/usr/lib/python3.11", "/usr/lib/python3/dist-packages"}) {
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) append(missing, folder);
  }
  if (missing.empty()) return ok(name, "Debian's Python 3.11 and its packages' folder");
  return bad(name, "no " + missing + "; handlers cannot be run or cannot import packages",
             "apt-get install python3.11 python3-minimal");
}

}  // namespace

std::string_view to_string(HostCheck::Status status) {
  switch (status) {
    case HostCheck::kOk:
      return "ok";
    case HostCheck::kWarn:
      return "warn";
    case HostCheck::kFail:
      return "fail";
  }
  return "unknown";
}

std::optional<KernelVersion> parse_kernel_release(std::string_view release) {
  KernelVersion version;
  const char* const end = release.data() + release.size();
  const auto major = std::from_chars(release.data(), end, version.major);
  if (major.ec != std::errc{} || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, version.minor);
  if (minor.ec != std::errc{}) return std::nullopt;
  return version;
}

std::vector<HostCheck> probe_host(const std::string& cgroup_parent) {
  return {
      check_privilege(),           check_kernel(),     check_process_api(),    check_mount_api(),
      check_cgroup(cgroup_parent), check_namespaces(), check_net_namespaces(), check_seccomp(),
      check_tid_address(),         check_landlock(),   check_interpreter()};
}

}  // namespace sock::sandbox
