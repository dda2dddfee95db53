#include "sandbox/seccomp_policy.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

#include "base/fd.h"

namespace sock::sandbox {
namespace {

using Filter = std::unique_ptr<void, decltype([](void* context) { seccomp_release(context); })>;

// clang-format off
constexpr std::array kAllowed = {
    // files and descriptors
    "access", "chdir", "chmod", "chown", "close", "close_range", "copy_file_range", "creat", "dup",
    "dup2", "dup3", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchdir", "fchmod",
    "fchmodat", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock",
    "fstat", "fstatfs", "fsync", "ftruncate", "futimesat", "getcwd", "ioctl", "getdents", "getdents64",
    "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "lchown",
    "lgetxattr", "link", "linkat", "listxattr", "llistxattr", "lseek", "lstat", "mkdir", "mkdirat",
    "mknod", "mknodat", "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink", "readlinkat", "readv",
    "rename", "renameat", "renameat2", "rmdir", "sendfile", "stat", "statfs", "statx",
    "symlink", "symlinkat", "sync", "sync_file_range", "syncfs", "truncate", "umask",
    "unlink", "unlinkat", "utime", "utimensat", "utimes", "write", "writev",
    // memory
    "brk", "madvise", "memfd_create", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mprotect",
    "mremap", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free",
    "pkey_mprotect", "membarrier", "get_mempolicy",
    // waiting and time
    "alarm", "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "getitimer",
    "gettimeofday", "nanosleep", "pause", "poll", "ppoll", "pselect6", "select", "setitimer",
    "signalfd", "signalfd4", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
    "times",
    // processes, threads, signals
    "arch_prctl", "execve", "execveat", "exit", "exit_group", "fork", "futex", "futex_waitv",
    "get_robust_list", "get_thread_area", "getcpu", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getrlimit", "getrusage", "getsid", "gettid", "kill", "pidfd_open",
    "pidfd_send_signal", "prctl", "prlimit64", "restart_syscall", "rseq", "rt_sigaction",
    "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler",
    "sched_rr_get_interval", "sched_setaffinity", "sched_yield", "set_robust_list",
    "set_thread_area", "set_tid_address", "setpgid", "setpriority", "setrlimit", "setsid",
    "sigaltstack", "tgkill", "tkill", "vfork", "wait4", "waitid",
    // identity: reading it, and the no-op writes libraries make
    "capget", "capset", "getegid", "geteuid", "getgid", "getgroups", "getresgid", "getresuid",
    "getuid", "setfsgid", "setfsuid", "setgid", "setgroups", "setregid", "setresgid", "setresuid",
    "setreuid", "setuid", "seccomp", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self",
    // pipes, sockets, System V ipc (the ipc namespace is the sandbox's own)
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
    "msgctl", "msgget", "msgrcv", "msgsnd", "pipe", "pipe2", "recvfrom", "recvmmsg", "recvmsg",
    "semctl", "semget", "semop", "semtimedop", "sendmmsg", "sendmsg", "sendto", "setsockopt",
    "shmat", "shmctl", "shmdt", "shmget", "shutdown",
    // the machine
    "getrandom", "sysinfo", "uname",
};

constexpr std::array kRefused = {
    "acct", "add_key", "adjtimex", "bpf", "chroot", "clock_adjtime", "clock_settime",
    "delete_module", "fanotify_init", "fanotify_mark", "finit_module", "fsconfig", "fsmount",
    "fsopen", "fspick", "init_module", "ioperm", "iopl", "ioprio_set", "kcmp", "kexec_file_load",
    "kexec_load", "keyctl", "lookup_dcookie", "mbind", "migrate_pages", "mount", "mount_setattr",
    "move_mount", "move_pages", "name_to_handle_at", "nfsservctl", "open_by_handle_at",
    "open_tree", "perf_event_open", "pidfd_getfd", "pivot_root", "process_madvise",
    "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace", "quotactl",
    "quotactl_fd", "reboot", "request_key", "sched_setattr", "sched_setparam",
    "sched_setscheduler", "set_mempolicy", "setdomainname", "sethostname", "setns", "splice",
    "settimeofday", "swapoff", "swapon", "syslog", "tee", "umount2", "unshare", "uselib", "userfaultfd",
    "vhangup", "vmsplice",
};
// clang-format on

constexpr std::uint32_t kPrivileged = SCMP_ACT_ERRNO(EPERM);
constexpr std::uint32_t kUnknown = SCMP_ACT_ERRNO(ENOSYS);

/// What a zygote and its unconfined clones do and no handler may.
constexpr std::array kUntilConfined{"clone3", "setns", "unshare"};

/// All CLONE_NEW… flags, CLONE_NEWTIME included.
constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                          CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                          CLONE_NEWNET | 0x80;

Result<> add(scmp_filter_ctx context, std::uint32_t action, const char* name) {
  const int number = seccomp_syscall_resolve_name(name);
  // A name this libseccomp does not know falls to the default, ENOSYS.
  if (number == __NR_SCMP_ERROR) return {};
  const int error = seccomp_rule_add(context, action, number, 0);
  if (error < 0) return fail_errno("seccomp rule", name, -error);
  return {};
}

Result<> add_if(scmp_filter_ctx context, std::uint32_t action, int number, scmp_arg_cmp compare) {
  const int error = seccomp_rule_add_array(context, action, number, 1, &compare);
  if (error < 0) return fail_errno("seccomp rule", "conditional", -error);
  return {};
}

Result<> add_conditional(scmp_filter_ctx context) {
  struct Rule {
    std::uint32_t action;
    int number;
    scmp_arg_cmp compare;
  };
  const std::uint32_t no_family = SCMP_ACT_ERRNO(EAFNOSUPPORT);
  // Arguments are 32-bit int in the kernel: masks keep high garbage from changing a verdict.
  constexpr std::uint64_t k32 = 0xffffffffU;
  const Rule rules[] = {
      // threads and fork yes, namespaces no
      {SCMP_ACT_ALLOW, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, kNamespaceFlags, 0)},
      {SCMP_ACT_ALLOW, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_MASKED_EQ, k32, AF_UNIX)},
      {SCMP_ACT_ALLOW, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_MASKED_EQ, k32, AF_INET)},
      {SCMP_ACT_ALLOW, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_MASKED_EQ, k32, AF_INET6)},
      {no_family, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_GT, AF_INET6, 0)},
      // AF_TIPC makes pairs as well, whatever socket() is allowed.
      {SCMP_ACT_ALLOW, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_MASKED_EQ, k32, AF_UNIX)},
      {no_family, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_GT, AF_UNIX, 0)},
      {SCMP_ACT_ALLOW, SCMP_SYS(personality), SCMP_A0(SCMP_CMP_EQ, 0, 0)},
      {SCMP_ACT_ALLOW, SCMP_SYS(personality), SCMP_A0(SCMP_CMP_EQ, k32, 0)},
  };
  for (const auto& rule : rules) {
    if (auto added = add_if(context, rule.action, rule.number, rule.compare); !added) return added;
  }
  return {};
}

Result<Filter> make_filter(std::uint32_t otherwise) {
  Filter filter(seccomp_init(otherwise));
  if (!filter) return fail(Code::kInternal, "seccomp_init", "out of memory");
  if (seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) < 0 ||
      seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0) {
    return fail(Code::kInternal, "seccomp_attr_set", "libseccomp 2.5 or newer is needed");
  }
  return filter;
}

Result<std::vector<sock_filter>> export_program(scmp_filter_ctx context) {
  const Fd file(::memfd_create("seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", "seccomp");
  if (const int error = seccomp_export_bpf(context, file.get()); error < 0) {
    return fail_errno("seccomp_export_bpf", "", -error);
  }
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  std::vector<sock_filter> program(static_cast<std::size_t>(size) / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), static_cast<std::size_t>(size), 0) != size) {
    return fail_errno("read", "the compiled seccomp filter");
  }
  return program;
}

enum class Audience { kHandlers, kZygotes };

template <std::size_t kCount>
bool contains(const std::array<const char*, kCount>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

Result<std::vector<sock_filter>> compile_policy(Audience audience) {
  auto filter = make_filter(kUnknown);
  if (!filter) return std::unexpected(filter.error());
  scmp_filter_ctx context = filter->get();
  for (const char* name : kAllowed) {
    if (auto added = add(context, SCMP_ACT_ALLOW, name); !added) {
      return std::unexpected(added.error());
    }
  }
  for (const char* name : kRefused) {
    if (audience == Audience::kZygotes && contains(kUntilConfined, name)) continue;
    if (auto added = add(context, kPrivileged, name); !added) {
      return std::unexpected(added.error());
    }
  }
  if (audience == Audience::kZygotes) {
    for (const char* name : kUntilConfined) {
      if (auto added = add(context, SCMP_ACT_ALLOW, name); !added) {
        return std::unexpected(added.error());
      }
    }
  }
  if (auto added = add_conditional(context); !added) return std::unexpected(added.error());
  return export_program(context);
}

/// Gives what the other part lets pass the verdict of the whole policy.
Result<std::vector<sock_filter>> compile_last() {
  auto filter = make_filter(SCMP_ACT_ALLOW);
  if (!filter) return std::unexpected(filter.error());
  for (const char* name : kUntilConfined) {
    const std::uint32_t verdict = contains(kRefused, name) ? kPrivileged : kUnknown;
    if (auto added = add(filter->get(), verdict, name); !added) {
      return std::unexpected(added.error());
    }
  }
  return export_program(filter->get());
}

}  // namespace

Result<SeccompPolicy> compile_seccomp_policy() {
  auto inherited = compile_policy(Audience::kZygotes);
  if (!inherited) return std::unexpected(inherited.error());
  auto last = compile_last();
  if (!last) return std::unexpected(last.error());
  return SeccompPolicy{std::move(*inherited), std::move(*last)};
}

Result<std::vector<sock_filter>> compile_whole_seccomp_policy() {
  return compile_policy(Audience::kHandlers);
}

}  // namespace sock::sandbox
