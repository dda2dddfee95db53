#include "sandbox/verify.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <initializer_list>
#include <span>
#include <string>

#include "base/message.h"
#include "base/process.h"
#include "sandbox/confine.h"
#include "sandbox/seccomp_policy.h"

namespace sock::sandbox {
namespace {

/// What verify_confined() says of a process that has loaded these filters and nothing else.
std::string verdict_on(std::initializer_list<std::span<const sock_filter>> filters) {
  int pipe[2];
  EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    bool loaded = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    for (const auto filter : filters) loaded = loaded && load_seccomp_filter(filter);
    (void)!::write(pipe[1], &loaded, sizeof loaded);
    for (;;) ::pause();
  }
  bool loaded = false;
  EXPECT_EQ(::read(pipe[0], &loaded, sizeof loaded), static_cast<ssize_t>(sizeof loaded));
  EXPECT_TRUE(loaded);
  const Subject process{pid, -1};
  auto verified = verify_confined(process, {.host_uid = 1, .shell = process});
  ::kill(pid, SIGKILL);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
  ::close(pipe[0]);
  ::close(pipe[1]);
  return verified ? "verified" : verified.error().message;
}

TEST(Verify, MissesAPartOfTheSeccompPolicy) {
  auto policy = compile_seccomp_policy();
  ASSERT_TRUE(policy) << policy.error().describe();
  EXPECT_TRUE(verdict_on({}).starts_with("Seccomp is not as it must be"));
  EXPECT_TRUE(verdict_on({policy->inherited}).starts_with("Seccomp_filters is not"));
  EXPECT_TRUE(verdict_on({policy->last}).starts_with("Seccomp_filters is not"));
  // The policy is complete; the next thing this process lacks is another layer's.
  EXPECT_TRUE(verdict_on({policy->inherited, policy->last}).starts_with("Cap"));
  EXPECT_TRUE(verdict_on({policy->inherited, policy->last, policy->last})
                  .starts_with("Seccomp_filters is not"));
}

constexpr std::uint32_t kUid = 12'345;

struct Kind {
  const char* name;
  int flag;
};
constexpr std::array<Kind, 5> kKinds{{{"pid", CLONE_NEWPID},
                                      {"mnt", CLONE_NEWNS},
                                      {"net", CLONE_NEWNET},
                                      {"ipc", CLONE_NEWIPC},
                                      {"uts", CLONE_NEWUTS}}};
constexpr int kAll = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

/// A child that exists until this is destroyed; first process of the namespaces of `flags`.
Process start_waiting(int flags) {
  int pidfd = -1;
  clone_args args{};
  args.flags = static_cast<std::uint64_t>(flags) | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid == 0) {
    for (;;) ::pause();
  }
  return {Fd(pidfd), pid};
}

struct Told {
  pid_t pid = -1;
  ConfineResult result;
};

/// Joins the shell's namespaces of `joined`, makes its own of `own`, and clones a sibling that
/// confines itself there. Tells the sibling's number and how it went.
[[noreturn]] void become_sandbox(int shell, int joined, int own, const SeccompPolicy& policy,
                                 int answer) {
  Told told;
  int confined[2];
  if (::setns(shell, joined) < 0 || (own != 0 && ::unshare(own) < 0) || !prepare_confinement() ||
      !load_seccomp_filter(policy.inherited) || ::pipe(confined) < 0) {
    ::_exit(1);
  }
  // Our parent's child: it must be able to reap both.
  told.pid = static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
  if (told.pid == 0) {
    const ConfineResult result = confine({kUid, 64, policy.last});
    (void)!::write(confined[1], &result, sizeof result);
    for (;;) ::pause();
  }
  (void)!::read(confined[0], &told.result, sizeof told.result);
  (void)!::write(answer, &told, sizeof told);
  ::_exit(0);
}

/// What is said of a sandbox that has joined these of its shell's namespaces and has its own ones
/// of `own`. Its user namespace is the host's, which is noticed when all five are right.
std::string verdict_in(int joined, int own, const SeccompPolicy& policy) {
  const Process shell = start_waiting(kAll);
  auto ends = socket_pair(SOCK_SEQPACKET);
  EXPECT_TRUE(ends);
  const pid_t maker = ::fork();
  if (maker == 0) become_sandbox(shell.pidfd(), joined, own, policy, (*ends)[1].get());
  (*ends)[1].reset();
  Told told;
  EXPECT_EQ(::read((*ends)[0].get(), &told, sizeof told), static_cast<ssize_t>(sizeof told));
  EXPECT_EQ(told.result.error, 0) << to_string(told.result.step);
  EXPECT_EQ(::waitpid(maker, nullptr, 0), maker);
  if (told.pid <= 0) return "it could not be made";
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, told.pid, 0)));
  struct stat network {};
  EXPECT_EQ(::stat(("/proc/" + std::to_string(shell.pid()) + "/ns/net").c_str(), &network), 0);
  Expectation expected;
  expected.host_uid = kUid;
  expected.shell = {shell.pid(), shell.pidfd()};
  expected.network = network.st_ino;
  const auto verified = verify_confined({told.pid, pidfd.get()}, expected);
  // As on a kernel that tells nothing through pidfds.
  expected.shell.pidfd = -1;
  const auto by_path = verify_confined({told.pid, -1}, expected);
  Process(pidfd.duplicate(), told.pid).kill_and_reap();
  EXPECT_TRUE(!verified && !by_path);
  if (verified || by_path) return "";
  EXPECT_EQ(verified.error().message, by_path.error().message);
  return verified.error().message;
}

TEST(Verify, NoticesEachNamespaceThatIsNotTheSandboxs) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  auto policy = compile_seccomp_policy();
  ASSERT_TRUE(policy) << policy.error().describe();
  EXPECT_EQ(verdict_in(kAll, 0, *policy), "user namespace is not as it must be: it is the host's");
  for (const auto& kind : kKinds) {
    const std::string complaint = std::string(kind.name) + " namespace is not as it must be: ";
    const int others = kAll & ~kind.flag;
    EXPECT_EQ(verdict_in(others, 0, *policy), complaint + "it is the host's");
    EXPECT_EQ(verdict_in(others, kind.flag, *policy), complaint + "it is not the sandbox's");
  }
}

}  // namespace
}  // namespace sock::sandbox
