#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sock {
namespace {

/// A child that sleeps until it is killed.
Process sleeper() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  return Process(Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))), pid);
}

TEST(Process, IsReapedThoughItsDescriptorIsNonBlocking) {
  Process process = sleeper();
  ASSERT_TRUE(process.valid());
  const pid_t pid = process.pid();
  // As an event loop does to every descriptor, duplicates included, that it waits for.
  ASSERT_EQ(::fcntl(process.pidfd(), F_SETFL, O_NONBLOCK), 0);
  EXPECT_FALSE(process.try_reap());
  const Exit exit = process.kill_and_reap();
  EXPECT_TRUE(exit.signalled);
  EXPECT_EQ(exit.status, SIGKILL);
  EXPECT_EQ(::kill(pid, 0), -1) << "a zombie is left";
}

}  // namespace
}  // namespace sock
