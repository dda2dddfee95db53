#include "sandbox/confine.h"

#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

/// What a clone needs until it is confined: setns and unshare, chroot for mount namespaces
/// (setns(2)), its identity, and dropping the rest.
constexpr std::array<cap_value_t, 5> kNeeded{CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_SETUID, CAP_SETGID,
                                             CAP_SETPCAP};

/// Allocated before any clone; the children only hand it to capset(2).
cap_t g_empty = nullptr;

ConfineResult failed(ConfineStep step) { return {step, errno}; }

bool limit(int resource, rlim_t value) {
  const rlimit both{value, value};
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &both) == 0;
}

bool capabilities_gone() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (::syscall(SYS_capget, &header, data) < 0) return false;
  // The other two sets take a system call for every capability to read; verify_confined() sees them
  // whole, and from outside.
  return std::ranges::all_of(data, [](const auto& word) {
    return (word.effective | word.permitted | word.inheritable) == 0;
  });
}

/// Reads back what the steps before have set: a mismatch means the kernel understood something
/// else, and then the sandbox must not run.
bool verified(const ConfinePlan& plan) {
  uid_t real = 0, effective = 0, saved = 0;
  if (::getresuid(&real, &effective, &saved) < 0) return false;
  if (real != plan.uid || effective != plan.uid || saved != plan.uid || plan.uid == 0) return false;
  gid_t real_group = 0, effective_group = 0, saved_group = 0;
  if (::getresgid(&real_group, &effective_group, &saved_group) < 0) return false;
  if (real_group != plan.uid || effective_group != plan.uid || saved_group != plan.uid)
    return false;
  return ::getgroups(0, nullptr) == 0 && capabilities_gone() &&
         ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
         ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER;
}

}  // namespace

const char* to_string(ConfineStep step) {
  switch (step) {
    case ConfineStep::kNone:
      return "none";
    case ConfineStep::kJoinShell:
      return "join shell";
    case ConfineStep::kDescriptors:
      return "close descriptors";
    case ConfineStep::kAwaitGo:
      return "await cgroup";
    case ConfineStep::kCgroupNamespace:
      return "cgroup namespace";
    case ConfineStep::kResourceLimits:
      return "resource limits";
    case ConfineStep::kIdentity:
      return "change identity";
    case ConfineStep::kBoundingSet:
      return "drop bounding set";
    case ConfineStep::kCapabilities:
      return "drop capabilities";
    case ConfineStep::kNoNewPrivileges:
      return "no_new_privs";
    case ConfineStep::kParentDeath:
      return "parent-death signal";
    case ConfineStep::kSeccomp:
      return "seccomp";
    case ConfineStep::kVerify:
      return "verify confinement";
  }
  return "unknown step";
}

bool prepare_confinement() {
  g_empty = cap_init();
  if (g_empty == nullptr) return false;
  // cap_max_bits() asks the kernel, which may know more capabilities than the headers.
  for (cap_value_t value = 0; value < cap_max_bits(); ++value) {
    bool keep = false;
    for (const cap_value_t needed : kNeeded) keep = keep || needed == value;
    if (!keep && cap_drop_bound(value) < 0) return false;
  }
  cap_t kept = cap_init();
  if (kept == nullptr) return false;
  const int count = static_cast<int>(kNeeded.size());
  const bool ok = cap_set_flag(kept, CAP_PERMITTED, count, kNeeded.data(), CAP_SET) == 0 &&
                  cap_set_flag(kept, CAP_EFFECTIVE, count, kNeeded.data(), CAP_SET) == 0 &&
                  cap_set_proc(kept) == 0;
  const int error = errno;
  cap_free(kept);
  errno = error;
  return ok;
}

ConfineResult join_shell(int shell_pidfd) {
  if (::setns(shell_pidfd, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0) {
    return failed(ConfineStep::kJoinShell);
  }
  return {};
}

ConfineResult confine(const ConfinePlan& plan) {
  // First, while CAP_SYS_ADMIN is there, and only now, when the process is in its cgroup: the
  // namespace's root is the cgroup of the moment (cgroup_namespaces(7)).
  if (::unshare(CLONE_NEWCGROUP) < 0) return failed(ConfineStep::kCgroupNamespace);
  // No core files; descriptors bounded. Lowering hard limits needs no privilege.
  if (!limit(RLIMIT_CORE, 0) || !limit(RLIMIT_NOFILE, plan.open_files) ||
      !limit(RLIMIT_MEMLOCK, 64 << 10) || !limit(RLIMIT_MSGQUEUE, 0)) {
    return failed(ConfineStep::kResourceLimits);
  }
  // The bounding set before the ids: CAP_SETPCAP goes with them. SETPCAP itself comes last in the
  // list because dropping needs it.
  for (const cap_value_t value : kNeeded) {
    if (cap_drop_bound(value) < 0) return failed(ConfineStep::kBoundingSet);
  }
  // Raw calls: glibc's wrappers broadcast to all threads and take locks (nptl(7)).
  if (::syscall(SYS_setgroups, 0, nullptr) < 0 ||
      ::syscall(SYS_setresgid, plan.uid, plan.uid, plan.uid) < 0 ||
      ::syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid) < 0) {
    return failed(ConfineStep::kIdentity);
  }
  // Leaving uid 0 has cleared the sets already unless securebits say otherwise; say it outright.
  // Not cap_reset_ambient(): it asks for all 41 one by one first.
  if (cap_set_proc(g_empty) < 0 || ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
    return failed(ConfineStep::kCapabilities);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return failed(ConfineStep::kNoNewPrivileges);
  // After the ids, which clear it (PR_SET_PDEATHSIG(2const)). pid 1 of the sandbox dies with
  // sockd as well; this is the second rope. Dumpable again, so that /proc/self works for it.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0) {
    return failed(ConfineStep::kParentDeath);
  }
  // Last, because it refuses what came before.
  if (!load_seccomp_filter(plan.filter)) return failed(ConfineStep::kSeccomp);
  errno = EPERM;
  if (!verified(plan)) return failed(ConfineStep::kVerify);
  return {};
}

}  // namespace sock::sandbox
