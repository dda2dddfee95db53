#include "manager/calls/undertaker.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// The kernel needs milliseconds to tear a sandbox down, even one full of forks.
constexpr Millis kDeathTimeout{5'000};

}  // namespace

Undertaker::Undertaker(const asio::any_io_executor& executor, CgroupStock& cgroups, UidPool& uids)
    : cgroups_(cgroups),
      uids_(uids),
      watch_(executor, kDeathTimeout),
      idle_(executor, Clock::time_point::max()) {}

asio::awaitable<Obituary> Undertaker::bury(std::unique_ptr<Slot> slot, Process clone, Haste haste) {
  ++dying_;
  slot->shell.kill();
  clone.signal(SIGKILL);
  const auto death = co_await watch_.wait(std::move(clone), slot->shell.pidfd(), haste);
  if (!death.complete) spdlog::error("sandbox {} does not die", slot->cgroup.name());
  Obituary obituary;
  obituary.exit = death.exit;
  obituary.usage = co_await cgroups_.settle(std::move(slot->cgroup));
  // Else somebody may be alive in it under this id: neither is anybody else's any more.
  if (death.complete) uids_.give_back(slot->uid);
  if (death.complete && !slot->half_open) {
    slot->home->give_back(std::move(slot->netns), std::move(slot->owner));
  } else {
    slot->home->retire(std::move(slot->netns));
  }
  slot.reset();
  if (--dying_ == 0) idle_.cancel();
  co_return obituary;
}

asio::awaitable<void> Undertaker::finish() {
  while (dying_ > 0) {
    auto ignored = co_await idle_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
}

}  // namespace sock::manager
