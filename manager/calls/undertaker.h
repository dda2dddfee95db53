#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <memory>
#include <optional>

#include "base/process.h"
#include "manager/calls/cgroup_stock.h"
#include "manager/calls/death_watch.h"
#include "manager/calls/slot.h"
#include "manager/calls/uid_pool.h"
#include "sandbox/cgroup.h"

namespace sock::manager {

/// What is left to say of a sandbox after its death.
struct Obituary {
  std::optional<Exit> exit;  ///< of the clone, when there was one
  sandbox::CgroupUsage usage;
};

/// Takes sandboxes apart and returns their parts. On the event loop; not thread safe. The parts it
/// is given must outlive it.
class Undertaker {
 public:
  Undertaker(const boost::asio::any_io_executor& executor, CgroupStock& cgroups, UidPool& uids);

  /// Kills whatever lives in the slot at once, reaps `clone` (which may be empty), accounts, and
  /// returns the parts to their pools. Completes when nothing of the sandbox is left, or when it is
  /// certain that it does not die.
  [[nodiscard]] boost::asio::awaitable<Obituary> bury(std::unique_ptr<Slot> slot, Process clone,
                                                      Haste haste);

  /// Waits for the last burial.
  [[nodiscard]] boost::asio::awaitable<void> finish();

  /// Slots being taken apart now.
  [[nodiscard]] std::size_t dying() const { return dying_; }

 private:
  CgroupStock& cgroups_;
  UidPool& uids_;
  DeathWatch watch_;
  std::size_t dying_ = 0;
  boost::asio::steady_timer idle_;  ///< cancelled when the last burial is over
};

}  // namespace sock::manager
