#include "bench/fork_child.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace sock::bench {
namespace {

void close_all_but(std::vector<int> keep) {
  std::ranges::sort(keep);
  auto first = static_cast<unsigned>(STDERR_FILENO + 1);
  for (const int kept : keep) {
    const auto number = static_cast<unsigned>(kept);
    if (number > first) ::syscall(SYS_close_range, first, number - 1, 0);
    first = number + 1;
  }
  ::syscall(SYS_close_range, first, ~0U, 0);
}

}  // namespace

Result<Process> fork_child(std::span<const int> keep, std::uint64_t flags,
                           const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  int pidfd = -1;
  clone_args args{};
  args.flags = flags | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != parent) ::_exit(1);
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGTERM, SIG_IGN);
    close_all_but({keep.begin(), keep.end()});
    ::_exit(body());
  }
  if (pid < 0) return fail_errno("clone3", "child of the benchmark");
  return Process(Fd(pidfd), static_cast<pid_t>(pid));
}

}  // namespace sock::bench
