#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "netns-pool/netns.h"

namespace sock::netns {

/// Those who wait for a namespace, first come first served. On one event loop; must outlive them.
class LeaseQueue {
 public:
  explicit LeaseQueue(boost::asio::any_io_executor executor);

  /// Waits for serve() or refuse(); nothing when neither comes before the deadline.
  [[nodiscard]] boost::asio::awaitable<std::optional<Result<Netns>>> wait(
      Clock::time_point deadline);

  [[nodiscard]] bool empty() const { return waiters_.empty(); }
  [[nodiscard]] std::size_t size() const { return waiters_.size(); }

  /// Gives the first its namespace. Not when empty.
  void serve(Netns netns);
  /// Sends the first away; nobody is fine.
  void refuse(const Error& error);
  void refuse_all(const Error& error);

 private:
  struct Waiter;
  void answer(Result<Netns> outcome);

  boost::asio::any_io_executor executor_;
  std::deque<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace sock::netns
