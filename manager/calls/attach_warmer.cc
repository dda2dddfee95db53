#include "manager/calls/attach_warmer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

AttachWarmer::AttachWarmer(asio::any_io_executor executor, Worker& worker,
                           std::function<Result<>()> move)
    : executor_(std::move(executor)),
      worker_(worker),
      move_(std::move(move)),
      pause_(executor_),
      ended_(executor_, Clock::time_point::max()) {}

void AttachWarmer::note_miss() {
  until_ = Clock::now() + kWarm;
  if (std::exchange(at_work_, true)) return;
  asio::co_spawn(executor_, keep_warm(), asio::detached);
}

asio::awaitable<void> AttachWarmer::keep_warm() {
  while (Clock::now() < until_) {
    pause_.expires_after(kPeriod);
    auto ignored = co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
    if (Clock::now() >= until_) break;
    // Attachments go on without it, slower.
    const auto moved = co_await worker_.run(move_);
    if (!moved) break;
  }
  at_work_ = false;
  ended_.cancel();
}

asio::awaitable<void> AttachWarmer::stop() {
  until_ = {};
  pause_.cancel();
  while (at_work_) {
    auto ignored = co_await ended_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
}

}  // namespace sock::manager
