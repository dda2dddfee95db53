#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/process.h"
#include "manager/calls/slot_stock.h"
#include "manager/functions/function.h"
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
  /// sys.path of the zygote it is a clone of (zygote/zygote.h).
  std::shared_ptr<const std::string> search_path;
  /// The function whose directory and limits it has; null until it is dedicated.
  std::shared_ptr<const Function> function;
  /// Looks at the process when it has answered, while it still stands; may be empty.
  std::function<boost::asio::awaitable<void>(const Clone&)> on_answered;
};

/// What a clone is made from, and how far it is taken before it parks.
struct CloneRecipe {
  std::shared_ptr<zygote::Zygote> zygote;
  Network network = Network::kNone;                    ///< of its slot: that of `function`, or none
  std::shared_ptr<const Fd> image = nullptr;           ///< restored before it parks; null: nothing
  std::shared_ptr<const Fd> touches = nullptr;         ///< populated before it parks; null: nothing
  std::shared_ptr<const Function> function = nullptr;  ///< dedicated to it; null: to none yet
  /// Shown read-only at /var/wheels/0, 1, … with `function`; at most sandbox::kMostWheelFolders.
  std::vector<std::filesystem::path> wheels = {};
  bool to_be_recorded = false;
  bool discard_output = false;  ///< nobody will read its log
};

/// Clones into a slot and sees the clone through to parked: attached to its cgroups, confined, and
/// verified from outside. On failure the slot is buried; nothing is left behind.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make_clone(CloneRecipe recipe,
                                                                                SlotStock& slots);

/// The same into `slot`, which is of the recipe's network: a failure here is never for want of one.
[[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make_clone(
    CloneRecipe recipe, std::unique_ptr<Slot> slot, SlotStock& slots);

/// Gives a parked clone the function's limits, the network that it may have in a slot of this
/// class, and its directory at /var/task. Once only; a clone for which it failed must not be used.
[[nodiscard]] boost::asio::awaitable<Result<>> dedicate(Clone& clone,
                                                        std::shared_ptr<const Function> function,
                                                        SlotStock& slots,
                                                        Clock::time_point deadline);

/// Takes a clone apart whose end nobody asks about; see SlotStock::bury().
[[nodiscard]] boost::asio::awaitable<void> bury_clone(std::unique_ptr<Clone> clone,
                                                      SlotStock& slots);

}  // namespace sock::manager
