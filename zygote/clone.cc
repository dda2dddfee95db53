#include "zygote/clone.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/frame.h"
#include "sandbox/confine.h"
#include "zygote/call.h"

namespace sock::zygote {
namespace {

/// Of a clone to be recorded, in its own pid namespace; all others are 2 there.
constexpr pid_t kRecordedPid = 3;

std::uint64_t g_tid_address = 0;
void* g_robust_list = nullptr;
std::size_t g_robust_list_size = 0;

/// fork() without glibc: the child's thread id is written where glibc caches it, and its robust
/// list is registered again, which the kernel forgets on a clone. glibc's own fork handlers are
/// left out: they protect locks from other threads, and there are none (audit.h).
long raw_clone(std::uint64_t flags, const pid_t* pid_wanted, int cgroup, int& pidfd) {
  clone_args args{};
  args.flags = flags | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.child_tid = g_tid_address;
  if (pid_wanted != nullptr) {
    args.set_tid = reinterpret_cast<std::uint64_t>(pid_wanted);
    args.set_tid_size = 1;
  }
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) ::syscall(SYS_set_robust_list, g_robust_list, g_robust_list_size);
  return pid;
}

/// The child's only way to say why it could not become a sandbox.
[[noreturn]] void child_die(int connection, sandbox::ConfineResult result) {
  const FrameHeader header{FrameHeader::kMagic, static_cast<std::uint32_t>(FrameType::kFailed),
                           sizeof(Failure)};
  const Failure failure{static_cast<std::uint32_t>(result.step), result.error};
  (void)(write_exactly(connection, &header, sizeof header) &&
         write_exactly(connection, &failure, sizeof failure));
  ::_exit(125);
}

/// The log pipe becomes stdout and stderr, the connection 3, image and touches 4 and 5; everything
/// else the zygote held, its control socket first, is closed by number, not by flag: a clone never
/// execs. A message's descriptors are numbered in its order from kPidNamespaceFd + 1 up, so none is
/// overwritten before it is moved but the shell, which has been joined.
bool arrange_descriptors(const ClonePlan& plan) {
  auto move = [](int from, int to) {
    return from < 0 ? ::close(to) == 0 || errno == EBADF : ::dup3(from, to, O_CLOEXEC) >= 0;
  };
  return ::dup2(plan.log, 1) >= 0 && ::dup2(plan.log, 2) >= 0 &&
         move(plan.connection, kConnectionFd) && move(plan.image, kImageFd) &&
         move(plan.touches, kTouchesFd) && ::syscall(SYS_close_range, kTouchesFd + 1, ~0U, 0) == 0;
}

/// From here to confine() nothing may allocate, lock or log.
[[noreturn]] void run_clone(const ClonePlan& plan) {
  using sandbox::ConfineStep;
  if (const auto joined = sandbox::join_shell(plan.shell); joined.error != 0) {
    child_die(plan.connection, joined);
  }
  if (!arrange_descriptors(plan)) child_die(plan.connection, {ConfineStep::kDescriptors, errno});
  char go = 0;
  if ((plan.request.flags & kAwaitGo) != 0 && !read_exactly(kConnectionFd, &go, 1)) {
    child_die(kConnectionFd, {ConfineStep::kAwaitGo, errno});
  }
  const sandbox::ConfinePlan confinement{plan.request.uid, plan.request.open_files,
                                         plan.filter.data(),
                                         static_cast<std::uint16_t>(plan.filter.size())};
  if (const auto confined = sandbox::confine(confinement); confined.error != 0) {
    child_die(kConnectionFd, confined);
  }
  serve_one_call({.image = plan.image >= 0, .touches = plan.touches >= 0});
}

}  // namespace

bool prepare_cloning() {
  int* address = nullptr;
  if (::prctl(PR_GET_TID_ADDRESS, &address, 0, 0, 0) < 0) return false;
  g_tid_address = reinterpret_cast<std::uint64_t>(address);
  return ::syscall(SYS_get_robust_list, 0, &g_robust_list, &g_robust_list_size) == 0;
}

void renew_thread_id() {
  *reinterpret_cast<pid_t*>(g_tid_address) = static_cast<pid_t>(::syscall(SYS_gettid));
}

Cloned make_clone(const ClonePlan& plan) {
  // From now on our children are born in the shell's pid namespace; nobody else's are.
  if (::setns(plan.shell, CLONE_NEWPID) < 0) return {-1, errno};
  int pidfd = -1;
  const bool recorded = (plan.request.flags & kToBeRecorded) != 0;
  const long pid = raw_clone(CLONE_PARENT, recorded ? &kRecordedPid : nullptr, plan.cgroup, pidfd);
  if (pid == 0) run_clone(plan);
  return pid < 0 ? Cloned{-1, errno} : Cloned{pidfd, 0};
}

Cloned make_fork() {
  if (::setns(kPidNamespaceFd, CLONE_NEWPID) < 0) return {-1, errno};
  int pidfd = -1;
  const long pid = raw_clone(CLONE_PARENT, nullptr, -1, pidfd);
  if (pid == 0) return {-1, 0};
  return pid < 0 ? Cloned{-1, errno} : Cloned{pidfd, 0};
}

bool trial_clone(bool (*life)(), Millis timeout) {
  int pidfd = -1;
  const long pid = raw_clone(0, nullptr, -1, pidfd);
  if (pid == 0) ::_exit(life() ? 0 : 1);
  if (pid < 0) return false;
  pollfd wait{pidfd, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(timeout.count())) != 1) {
    ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  }
  siginfo_t info{};
  const int reaped = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | __WALL);
  ::close(pidfd);
  return reaped == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
}

}  // namespace sock::zygote
