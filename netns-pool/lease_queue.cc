#include "netns-pool/lease_queue.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::netns {

namespace asio = boost::asio;

/// The timer's end or cancellation wakes it.
struct LeaseQueue::Waiter {
  Waiter(const asio::any_io_executor& executor, Clock::time_point deadline)
      : timer(executor, deadline) {}
  asio::steady_timer timer;
  std::optional<Result<Netns>> outcome;
};

LeaseQueue::LeaseQueue(asio::any_io_executor executor) : executor_(std::move(executor)) {}

asio::awaitable<std::optional<Result<Netns>>> LeaseQueue::wait(Clock::time_point deadline) {
  auto waiter = std::make_shared<Waiter>(executor_, deadline);
  waiters_.push_back(waiter);
  auto woken = co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)woken;
  // A timer that ran out may still find that it was served before it got its turn.
  if (!waiter->outcome) std::erase(waiters_, waiter);
  co_return std::move(waiter->outcome);
}

void LeaseQueue::answer(Result<Netns> outcome) {
  const auto waiter = std::move(waiters_.front());
  waiters_.pop_front();
  waiter->outcome = std::move(outcome);
  waiter->timer.cancel();
}

void LeaseQueue::serve(Netns netns) { answer(std::move(netns)); }

void LeaseQueue::refuse(const Error& error) {
  if (!waiters_.empty()) answer(std::unexpected(error));
}

void LeaseQueue::refuse_all(const Error& error) {
  while (!waiters_.empty()) refuse(error);
}

}  // namespace sock::netns
