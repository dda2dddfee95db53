#include "manager/background.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

Background::Background(asio::any_io_executor executor)
    : executor_(std::move(executor)), ended_(executor_) {}

void Background::run(asio::awaitable<void> work) {
  ++at_work_;
  asio::co_spawn(executor_, std::move(work), [this](const std::exception_ptr&) { end_one(); });
}

void Background::end_one() {
  if (--at_work_ == 0) ended_.cancel();
}

asio::awaitable<bool> Background::wait(Clock::time_point deadline) {
  while (at_work_ > 0 && Clock::now() < deadline) {
    ended_.expires_at(deadline);
    auto ignored = co_await ended_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  co_return at_work_ == 0;
}

}  // namespace sock::manager
