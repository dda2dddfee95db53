#include "manager/calls/attach_warmer.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

AttachWarmer::AttachWarmer(asio::any_io_executor executor, Worker& worker,
                           std::function<Result<>()> move)
    : worker_(worker), move_(std::move(move)), pause_(executor), work_(std::move(executor)) {}

void AttachWarmer::note_miss() {
  until_ = Clock::now() + kWarm;
  if (std::exchange(at_work_, true)) return;
  work_.run(keep_warm());
}

asio::awaitable<void> AttachWarmer::keep_warm() {
  for (;;) {
    pause_.expires_after(kPeriod);
    auto ignored = co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
    if (Clock::now() >= until_) break;
    // Attachments go on without it, slower.
    const auto moved = co_await worker_.run(move_);
    if (!moved) break;
  }
  at_work_ = false;
}

asio::awaitable<void> AttachWarmer::stop() {
  until_ = {};
  pause_.cancel();
  (void)co_await work_.wait(Clock::time_point::max());
}

}  // namespace sock::manager
