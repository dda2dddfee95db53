#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "base/clock.h"
#include "base/error.h"
#include "base/worker.h"
#include "manager/background.h"

namespace sock::manager {

/// Keeps attaching to v1 cgroups fast while calls wait for it.
///
/// Every fork on the machine reads, at no cost, the lock that moving a process between cgroups
/// writes. Before its first writer gets it the kernel waits for an RCU grace period, 10 to 30 ms;
/// who comes within about as long after another finds it prepared (percpu_down_write(),
/// rcu_sync_enter() in kernel/). So for a while after a call had to wait for a clone, one of sock's
/// own helpers is moved, every now and then, to the cgroup that it is in.
///
/// On the event loop; not thread safe.
class AttachWarmer {
 public:
  /// `move` runs on `worker`. Both must outlive this object.
  AttachWarmer(boost::asio::any_io_executor executor, Worker& worker,
               std::function<Result<>()> move);

  /// A call waits for a clone: keeps the lock prepared for kWarm from now on.
  void note_miss();

  /// Ends it; returns when no move is going on any more.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  static constexpr Millis kWarm{1'000};
  static constexpr Millis kPeriod{8};

 private:
  [[nodiscard]] boost::asio::awaitable<void> keep_warm();

  Worker& worker_;
  std::function<Result<>()> move_;
  Clock::time_point until_;
  bool at_work_ = false;
  boost::asio::steady_timer pause_;
  Background work_;
};

}  // namespace sock::manager
