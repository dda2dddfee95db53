#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>

namespace sock {

/// Mutual exclusion between coroutines of one event loop, first come first served. For peers that
/// answer one request at a time. Not thread safe; must outlive its guards and waiters.
class AsyncMutex {
 public:
  class Guard {
   public:
    explicit Guard(AsyncMutex& mutex) : mutex_(&mutex) {}
    Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() {
      if (mutex_ != nullptr) mutex_->unlock();
    }

   private:
    AsyncMutex* mutex_;
  };

  [[nodiscard]] boost::asio::awaitable<Guard> lock();

  /// Coroutines whose turn has not come.
  [[nodiscard]] std::size_t waiting() const { return waiters_.size(); }

 private:
  void unlock();

  bool locked_ = false;
  std::deque<std::weak_ptr<boost::asio::steady_timer>> waiters_;
};

}  // namespace sock
