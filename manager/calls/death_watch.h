#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/process.h"

namespace sock::manager {

/// How soon an end has to be noticed.
enum class Haste {
  kNone,         ///< nobody waits for it: in the cheapest way, within a few milliseconds
  kCallerWaits,  ///< the call is answered only then
};

/// What became of a sandbox that was killed.
struct Death {
  std::optional<Exit> exit;  ///< of the clone, when there was one and it ended in time
  bool complete = false;     ///< nobody is left in the sandbox
};

/// Waits for killed sandboxes to be dead, for all of them together: it looks at all at once, a few
/// times each, instead of having the kernel report the end of every process by itself, which takes
/// a dozen system calls. One that does not die holds up no other.
///
/// On the event loop; not thread safe. Must outlive its waiters.
class DeathWatch {
 public:
  /// `timeout`: how long a sandbox may take to die.
  DeathWatch(boost::asio::any_io_executor executor, Millis timeout);
  ~DeathWatch();
  DeathWatch(const DeathWatch&) = delete;
  DeathWatch& operator=(const DeathWatch&) = delete;

  /// Reaps `clone` (which may be empty), then waits for the sandbox's pid 1, by its pidfd, which is
  /// borrowed meanwhile. Both must have been sent SIGKILL. A clone that outlives the timeout is
  /// reaped when it dies after all.
  [[nodiscard]] boost::asio::awaitable<Death> wait(Process clone, int init, Haste haste);

 private:
  struct Dying;

  void look_within(Micros pause);
  void look();
  /// Reaps the clones that have ended and notes whose pid 1 has; whether there were any.
  bool see_ends();
  /// Tells those who wait for the dead, and for those whose time is up.
  void tell(Clock::time_point now);
  [[nodiscard]] Micros shortest_pause() const;

  boost::asio::any_io_executor executor_;
  Millis timeout_;
  std::vector<std::shared_ptr<Dying>> dying_;
  boost::asio::steady_timer next_look_;
  bool look_set_ = false;
  Micros pause_{0};  ///< before the next look
};

}  // namespace sock::manager
