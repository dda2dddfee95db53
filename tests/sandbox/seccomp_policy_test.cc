#include "sandbox/seccomp_policy.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

namespace sock::sandbox {
namespace {

constexpr int kAllowed = 0;

enum class Parts { kInherited, kBoth };

/// Runs `call` in a child under the policy. The errno it met, 0 for success, or -signal.
int under_filter(const std::function<long()>& call, Parts parts = Parts::kBoth) {
  auto policy = compile_seccomp_policy();
  EXPECT_TRUE(policy) << policy.error().describe();
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !load_seccomp_filter(policy->inherited) ||
        (parts == Parts::kBoth && !load_seccomp_filter(policy->last))) {
      ::_exit(255);
    }
    errno = 0;
    const long result = call();
    ::_exit(result < 0 ? errno : 0);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(SeccompPolicy, IsSmallEnoughToLoadPerSandbox) {
  auto policy = compile_seccomp_policy();
  ASSERT_TRUE(policy) << policy.error().describe();
  EXPECT_LT(policy->inherited.size(), 1000U);
  EXPECT_LT(policy->last.size(), 20U);
}

TEST(SeccompPolicy, LetsAZygoteMakeClones) {
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_clone3, nullptr, 0); }, Parts::kInherited),
            EINVAL);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_setns, -1, 0); }, Parts::kInherited), EBADF);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_unshare, 0); }, Parts::kInherited), kAllowed);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_mount, 0, 0, 0, 0, 0); }, Parts::kInherited),
            EPERM);
}

TEST(SeccompPolicy, AllowsWhatProgramsUse) {
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_getpid); }), kAllowed);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }), kAllowed);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }), kAllowed);
  EXPECT_EQ(under_filter([] {
              const pid_t pid = ::fork();
              if (pid == 0) ::_exit(0);
              int status = 0;
              return static_cast<long>(::waitpid(pid, &status, 0));
            }),
            kAllowed);
}

TEST(SeccompPolicy, RefusesWhatWidensTheKernelsSurface) {
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_mount, 0, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_ptrace, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_bpf, 0, 0, 0); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_userfaultfd, 0); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_unshare, CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_setns, -1, 0); }), EPERM);
}

TEST(SeccompPolicy, AnswersProbesSoThatLibrariesFallBack) {
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
  EXPECT_EQ(under_filter([] { return ::syscall(SYS_io_uring_setup, 1, nullptr); }), ENOSYS);
  EXPECT_EQ(under_filter([] { return ::syscall(100'000); }), ENOSYS);
}

TEST(SeccompPolicy, ClonesProcessesButNoNamespaces) {
  for (const unsigned long flag : {CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET,
                                   CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    EXPECT_EQ(under_filter([flag] { return ::syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0); }),
              ENOSYS)
        << std::hex << flag;
  }
}

TEST(SeccompPolicy, OpensNoForeignSocketFamilies) {
  for (const int family : {AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH}) {
    EXPECT_EQ(under_filter([family] { return ::syscall(SYS_socket, family, SOCK_RAW, 0); }),
              EAFNOSUPPORT)
        << family;
  }
}

TEST(SeccompPolicy, PairsUnixSocketsOnly) {
  static int pair[2];
  constexpr int kTipc = 30;
  for (const int family : {AF_INET, AF_NETLINK, kTipc}) {
    EXPECT_EQ(
        under_filter([family] { return ::syscall(SYS_socketpair, family, SOCK_STREAM, 0, pair); }),
        EAFNOSUPPORT)
        << family;
  }
  const unsigned long unix_family = (1UL << 40) | AF_UNIX;
  EXPECT_EQ(under_filter([unix_family] {
              return ::syscall(SYS_socketpair, unix_family, SOCK_STREAM, 0, pair);
            }),
            kAllowed);
}

TEST(SeccompPolicy, HighArgumentBitsChangeNoVerdict) {
  // The kernel takes `family` as int: garbage above must not smuggle a family past the filter.
  const unsigned long netlink = (1UL << 32) | AF_NETLINK;
  EXPECT_EQ(under_filter([netlink] { return ::syscall(SYS_socket, netlink, SOCK_RAW, 0); }),
            EAFNOSUPPORT);
  const unsigned long unix_family = (1UL << 40) | AF_UNIX;
  EXPECT_EQ(
      under_filter([unix_family] { return ::syscall(SYS_socket, unix_family, SOCK_STREAM, 0); }),
      kAllowed);
}

TEST(SeccompPolicy, KillsForeignEntries) {
  constexpr long kX32 = 0x40000000;
  EXPECT_EQ(under_filter([] { return ::syscall(kX32 + SYS_getpid); }), -SIGSYS);
#ifdef __x86_64__
  EXPECT_EQ(under_filter([] {
              long result = 20;  // getpid of the 32-bit table
              asm volatile("int $0x80" : "+a"(result) : : "memory");
              return result;
            }),
            -SIGSYS);
#endif
}

}  // namespace
}  // namespace sock::sandbox
