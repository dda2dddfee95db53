#include "manager/calls/death_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

constexpr Millis kTimeout{300};

/// A child that waits to be killed, or exits at once with `status`.
Process child(std::optional<int> status = std::nullopt) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (status) ::_exit(*status);
    for (;;) ::pause();
  }
  return {Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))), pid};
}

class DeathWatchTest : public testing::Test {
 protected:
  struct Outcome {
    std::optional<Death> death;
    Clock::time_point at;
  };

  /// `outcome` is filled when the watch has told.
  void watch(Process clone, int init, Haste haste, Outcome& outcome) {
    auto wait = [](DeathWatch& watch, Process its_clone, int its_init, Haste its_haste,
                   Outcome& its_outcome) -> asio::awaitable<void> {
      its_outcome.death = co_await watch.wait(std::move(its_clone), its_init, its_haste);
      its_outcome.at = Clock::now();
    };
    asio::co_spawn(loop_, wait(*watch_, std::move(clone), init, haste, outcome), asio::detached);
  }

  /// Until nothing is watched any more.
  void run() { run_for(Millis(10'000)); }
  void run_for(Millis time) {
    loop_.restart();
    loop_.run_for(time);
  }

  asio::io_context loop_;
  std::optional<DeathWatch> watch_{std::in_place, loop_.get_executor(), kTimeout};
  const Clock::time_point begun_ = Clock::now();
};

TEST_F(DeathWatchTest, TellsHowTheCloneEndedAndWaitsForPid1) {
  Process clone = child();
  const Process init = child();
  const Fd after(::fcntl(clone.pidfd(), F_DUPFD_CLOEXEC, 3));
  clone.signal(SIGKILL);
  init.signal(SIGKILL);
  Outcome outcome;
  watch(std::move(clone), init.pidfd(), Haste::kNone, outcome);
  run();
  ASSERT_TRUE(outcome.death);
  EXPECT_TRUE(outcome.death->complete);
  ASSERT_TRUE(outcome.death->exit);
  EXPECT_TRUE(outcome.death->exit->signalled);
  EXPECT_EQ(outcome.death->exit->status, SIGKILL);
  EXPECT_LT(::syscall(SYS_pidfd_send_signal, after.get(), 0, nullptr, 0U), 0) << "not reaped";
}

TEST_F(DeathWatchTest, ACloneThatExitedByItselfIsToldFromOneThatWasKilled) {
  const Process init = child(0);
  Outcome outcome;
  watch(child(7), init.pidfd(), Haste::kCallerWaits, outcome);
  run();
  ASSERT_TRUE(outcome.death && outcome.death->exit);
  EXPECT_FALSE(outcome.death->exit->signalled);
  EXPECT_EQ(outcome.death->exit->status, 7);
}

TEST_F(DeathWatchTest, ASandboxWithoutACloneIsWatchedToo) {
  const Process init = child(0);
  Outcome outcome;
  watch(Process(), init.pidfd(), Haste::kNone, outcome);
  run();
  ASSERT_TRUE(outcome.death);
  EXPECT_TRUE(outcome.death->complete);
  EXPECT_FALSE(outcome.death->exit);
}

TEST_F(DeathWatchTest, OneThatDoesNotDieHoldsUpNoOther) {
  Process stubborn = child();
  const Fd clone(::fcntl(stubborn.pidfd(), F_DUPFD_CLOEXEC, 3));
  const Process living = child();
  const Process ended = child(0);
  Outcome late;
  Outcome never;
  Outcome soon;
  Outcome sooner;
  watch(std::move(stubborn), ended.pidfd(), Haste::kCallerWaits, late);
  watch(child(0), living.pidfd(), Haste::kNone, never);
  watch(child(0), ended.pidfd(), Haste::kNone, soon);
  watch(child(0), ended.pidfd(), Haste::kCallerWaits, sooner);
  run_for(2 * kTimeout);
  ASSERT_TRUE(soon.death && sooner.death && late.death && never.death);
  EXPECT_TRUE(soon.death->complete);
  EXPECT_LT(soon.at - begun_, kTimeout / 2);
  EXPECT_TRUE(sooner.death->complete);
  EXPECT_LT(sooner.at - begun_, kTimeout / 2);
  EXPECT_FALSE(late.death->complete);
  EXPECT_FALSE(late.death->exit);
  EXPECT_GE(late.at - begun_, kTimeout);
  EXPECT_FALSE(never.death->complete) << "its pid 1 lives";
  EXPECT_TRUE(never.death->exit) << "its clone does not";

  // When it dies after all it does not stay a zombie.
  ::syscall(SYS_pidfd_send_signal, clone.get(), SIGKILL, nullptr, 0U);
  run();
  EXPECT_LT(::syscall(SYS_pidfd_send_signal, clone.get(), 0, nullptr, 0U), 0) << "not reaped";
}

TEST_F(DeathWatchTest, TheEndOfTheWatchDoesNotWaitForTheUndead) {
  Process clone = child();
  const Fd undead(::fcntl(clone.pidfd(), F_DUPFD_CLOEXEC, 3));
  const Process init = child(0);
  Outcome outcome;
  watch(std::move(clone), init.pidfd(), Haste::kCallerWaits, outcome);
  run_for(2 * kTimeout);
  EXPECT_TRUE(outcome.death);
  watch_.reset();
  EXPECT_EQ(::syscall(SYS_pidfd_send_signal, undead.get(), SIGKILL, nullptr, 0U), 0) << "gone";
  siginfo_t info{};
  EXPECT_EQ(::waitid(P_PIDFD, static_cast<id_t>(undead.get()), &info, WEXITED), 0);
}

}  // namespace
}  // namespace sock::manager
