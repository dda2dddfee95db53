#include "bench/user_namespace.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>

#include "base/file.h"
#include "base/message.h"
#include "bench/fork_child.h"

namespace sock::bench {
namespace {

constexpr const char* kLimit = "/proc/sys/user/max_net_namespaces";
constexpr auto kLook = std::chrono::microseconds(500);
constexpr std::size_t kOwn = 2;  // the counter's home, and the namespace that it counts with
constexpr std::size_t kNoLimit = 1'000'000;

struct Question {
  std::uint64_t alive = 0;
  std::int64_t patience_ms = 0;
};

struct Answer {
  int error = 0;
  std::int64_t when = 0;  ///< Clock's ticks
};

bool become_root() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(0, 0, 0) == 0 && ::setresuid(0, 0, 0) == 0;
}

int set_limit(std::size_t count) {
  const auto written = write_control(AT_FDCWD, kLimit, std::to_string(count));
  return written ? 0 : written.error().sys_errno;
}

/// Tries to make a namespace until the limit allows it. It keeps what it made until it is asked
/// again, so that none of its own dies while something is measured.
Answer count_down(int home, const Question& question) {
  const auto deadline = Clock::now() + Millis(question.patience_ms);
  if (::setns(home, CLONE_NEWNET) < 0) return {errno, 0};
  if (const int error = set_limit(question.alive + kOwn); error != 0) return {error, 0};
  int error = 0;
  while (::unshare(CLONE_NEWNET) < 0) {
    error = errno;
    if (error != ENOSPC) break;
    error = ETIMEDOUT;
    if (Clock::now() > deadline) break;
    std::this_thread::sleep_for(kLook);
    error = 0;
  }
  const auto now = Clock::now().time_since_epoch().count();
  if (const int unset = set_limit(kNoLimit); error == 0) error = unset;
  return {error, now};
}

int serve(int control) {
  char go = 0;
  if (::recv(control, &go, 1, 0) != 1 || !become_root()) return 1;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // the change of credentials has cleared it
  if (::unshare(CLONE_NEWNET) < 0) return 1;
  const Fd home(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home || ::send(control, &go, 1, 0) != 1) return 1;
  Question question;
  while (::recv(control, &question, sizeof question, 0) == sizeof question) {
    const auto answer = count_down(home.get(), question);
    if (::send(control, &answer, sizeof answer, 0) != sizeof answer) return 1;
  }
  return 0;
}

bool readable(int fd, Millis patience) {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<Millis>(deadline - Clock::now()).count();
    pollfd poll{fd, POLLIN, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(std::max<Millis::rep>(left, 0)));
    if (ready >= 0 || errno != EINTR) return ready == 1;
  }
}

constexpr Millis kStart{10'000};

}  // namespace

Result<UserNamespace> UserNamespace::make() {
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) return std::unexpected(sockets.error());
  const int theirs = (*sockets)[1].get();
  auto process = fork_child(std::array{theirs}, CLONE_NEWUSER, [theirs] { return serve(theirs); });
  if (!process) return std::unexpected(process.error());
  (*sockets)[1].reset();
  for (const char* map : {"uid_map", "gid_map"}) {
    auto written = write_control(AT_FDCWD, "/proc/" + std::to_string(process->pid()) + "/" + map,
                                 "0 100000 65536");
    if (!written) return std::unexpected(written.error());
  }
  const int control = (*sockets)[0].get();
  char go = 'g';
  if (::send(control, &go, 1, MSG_NOSIGNAL) != 1 || !readable(control, kStart) ||
      ::recv(control, &go, 1, 0) != 1) {
    return fail(Code::kInternal, "hold a user namespace", "its process does not start");
  }
  return UserNamespace(std::move(*process), std::move((*sockets)[0]));
}

Result<Clock::time_point> UserNamespace::await_drained(std::size_t alive, Millis patience) {
  constexpr const char* kStep = "await the end of network namespaces";
  const Question question{alive, patience.count()};
  Answer answer;
  if (::send(control_.get(), &question, sizeof question, MSG_NOSIGNAL) != sizeof question ||
      !readable(control_.get(), patience + kStart) ||
      ::recv(control_.get(), &answer, sizeof answer, 0) != sizeof answer) {
    return fail(Code::kInternal, kStep, "the process that counts them does not answer");
  }
  if (answer.error == ETIMEDOUT) {
    return fail(Code::kTimeout, kStep, "more than " + std::to_string(alive) + " are left");
  }
  if (answer.error != 0) return fail_errno(kStep, kLimit, answer.error);
  return Clock::time_point(Clock::duration(answer.when));
}

Result<> become_root_of(int pidfd, pid_t parent) {
  constexpr const char* kStep = "enter the user namespace";
  if (::setns(pidfd, CLONE_NEWUSER) < 0) return fail_errno(kStep, "setns");
  if (!become_root()) return fail_errno(kStep, "become its root");
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail_errno(kStep, "prctl");
  if (::getppid() != parent) return fail(Code::kInternal, kStep, "the parent is gone");
  return {};
}

}  // namespace sock::bench
