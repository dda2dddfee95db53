#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// Decides when a call may run: at most so many at once, the others wait their turn in a bounded
/// queue, first come first served. A call whose function is at its own limit lets those behind it
/// pass. Single-threaded, on the event loop.
class Admission {
  struct State;

 public:
  struct Limits {
    std::size_t running = 64;
    std::size_t queued = 256;
    Millis queue_timeout{10'000};
    std::size_t running_per_function = 0;  ///< 0 = no limit of its own
  };

  /// The right to run one call; given back on destruction. May outlive the Admission.
  class Permit {
   public:
    Permit() = default;  ///< the right to nothing
    Permit(Permit&& other) noexcept = default;
    Permit& operator=(Permit&& other) noexcept;
    Permit(const Permit&) = delete;
    Permit& operator=(const Permit&) = delete;
    ~Permit();

    /// Gives it back early.
    void release();

   private:
    friend class Admission;
    Permit(std::shared_ptr<State> state, std::string function);

    std::shared_ptr<State> state_;
    std::string function_;
  };

  Admission(const boost::asio::any_io_executor& executor, Limits limits);
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;
  ~Admission();

  /// Waits for a place; without a wait when there is one. kRejected when the queue is full or the
  /// wait too long, kDraining when the daemon is going down.
  [[nodiscard]] boost::asio::awaitable<Result<Permit>> enter(std::string function);

  /// From now on enter() fails with kDraining; those already queued still get their turn. Waits
  /// until nobody runs or queues: true. At the deadline the queued ones are turned away: false.
  [[nodiscard]] boost::asio::awaitable<bool> drain(Clock::time_point deadline);

  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] bool draining() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sock::manager
