#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>

#include "base/clock.h"

namespace sock::manager {

/// Work that goes on behind whoever began it. sockd waits for all of it before it takes apart what
/// that works with. On the event loop; not thread safe; must outlive the work.
class Background {
 public:
  explicit Background(boost::asio::any_io_executor executor);

  /// Starts it; nobody hears of its end.
  void run(boost::asio::awaitable<void> work);

  /// Work that somebody else has started, for as long as the object lives.
  class Hold {
   public:
    explicit Hold(Background& background) : background_(background) { ++background_.at_work_; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { background_.end_one(); }

   private:
    Background& background_;
  };

  /// Waits until nothing is at work: true; false at the deadline.
  [[nodiscard]] boost::asio::awaitable<bool> wait(Clock::time_point deadline);

 private:
  void end_one();

  boost::asio::any_io_executor executor_;
  std::size_t at_work_ = 0;
  boost::asio::steady_timer ended_;  ///< cancelled when the last has ended
};

}  // namespace sock::manager
