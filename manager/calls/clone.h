#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>

#include "base/process.h"
#include "manager/calls/slot_stock.h"
#include "zygote/zygote.h"

namespace sock::manager {

/// One confined clone in its slot, parked until it is given a call. Shared by the coroutines that
/// serve it; the owner hands slot and process to SlotStock::bury() in the end.
struct Clone {
  Clone(const boost::asio::any_io_executor& executor, std::unique_ptr<Slot> its_slot,
        Process its_process, Fd its_connection, Fd its_log);

  /// Kills the sandbox; whoever reads the connection sees it end.
  void kill() const { slot->shell.kill(); }

  /// False once it has died while parked. A non-blocking peek at the connection.
  [[nodiscard]] bool alive();

  std::unique_ptr<Slot> slot;
  Process process;
  boost::asio::posix::stream_descriptor connection;
  boost::asio::posix::stream_descriptor log;
};

/// Clones `zygote` into a slot and sees it through to parked: attached to its cgroups, confined,
/// and verified from outside. On failure the slot is buried; nothing is left behind.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make_clone(
    std::shared_ptr<zygote::Zygote> zygote, SlotStock& slots);

}  // namespace sock::manager
