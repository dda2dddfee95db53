#include "base/async_mutex.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sock {

namespace asio = boost::asio;

asio::awaitable<AsyncMutex::Guard> AsyncMutex::lock() {
  if (locked_) {
    // The timer never fires; unlock() cancels it, which hands the lock over.
    const auto executor = co_await asio::this_coro::executor;
    auto turn =
        std::make_shared<asio::steady_timer>(executor, asio::steady_timer::time_point::max());
    waiters_.push_back(turn);
    auto ignored = co_await turn->async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  locked_ = true;
  co_return Guard(*this);
}

void AsyncMutex::unlock() {
  while (!waiters_.empty()) {
    const auto turn = waiters_.front().lock();
    waiters_.pop_front();
    // `locked_` stays true: the lock passes to the waiter without a gap for a newcomer.
    if (turn && turn->cancel() > 0) return;
  }
  locked_ = false;
}

}  // namespace sock
