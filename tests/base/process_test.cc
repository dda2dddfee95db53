#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace sock {
namespace {

/// A child that stays until it is killed.
Process sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  return {Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))), pid};
}

bool gone(pid_t pid) { return ::kill(pid, 0) < 0 && errno == ESRCH; }

TEST(ProcessTest, DestructionKillsAndReaps) {
  pid_t pid = -1;
  {
    const Process child = sleeper();
    pid = child.pid();
    ASSERT_FALSE(gone(pid));
  }
  EXPECT_TRUE(gone(pid));
}

TEST(ProcessTest, ReapsThoughAnEventLoopMadeThePidfdNonBlocking) {
  Process child = sleeper();
  const pid_t pid = child.pid();
  const Fd duplicate(::fcntl(child.pidfd(), F_DUPFD_CLOEXEC, 0));
  ASSERT_EQ(::fcntl(duplicate.get(), F_SETFL, O_NONBLOCK), 0);
  const Exit exit = child.kill_and_reap();
  EXPECT_TRUE(exit.signalled);
  EXPECT_EQ(exit.status, SIGKILL);
  EXPECT_TRUE(gone(pid));
}

TEST(ProcessTest, TryReapDoesNotWait) {
  Process child = sleeper();
  EXPECT_FALSE(child.try_reap());
  child.signal(SIGKILL);
  child.kill_and_reap();
}

}  // namespace
}  // namespace sock
