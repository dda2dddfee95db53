#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "base/process.h"
#include "manager/calls/uid_pool.h"
#include "manager/state/ledger.h"
#include "manager/worker.h"
#include "netns-pool/netns_pool.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_pool.h"
#include "sandbox/keeper.h"

namespace sock::manager {

/// An empty sandbox, complete but for the clone that will live in it.
struct Slot {
  netns::Netns netns;
  sandbox::Cgroup cgroup;
  sandbox::Shell shell;
  pid_t shell_pid = -1;
  std::uint32_t uid = 0;  ///< in the user namespace
  LedgerTicket ticket;    ///< the cgroup, for whoever finds it after a crash
};

/// What is left to say of a sandbox after its death.
struct Obituary {
  std::optional<Exit> exit;  ///< of the clone, when there was one
  sandbox::CgroupUsage usage;
};

struct SlotStockOptions {
  std::size_t stock = 4;   ///< slots kept ready
  sandbox::Limits limits;  ///< in force in a fresh slot
};

/// Prepares slots ahead of demand and takes dead ones apart. On the event loop; not thread safe.
/// The parts it is given must outlive it.
class SlotStock {
 public:
  SlotStock(boost::asio::any_io_executor executor, SlotStockOptions options,
            netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
            Worker& cgroup_worker, UidPool& uids, Ledger& ledger);

  /// A slot from the stock, else built now. Starts refilling behind the caller's back.
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> take();

  /// Kills whatever lives in the slot, reaps `clone` (which may be empty), accounts, and returns
  /// the parts to their pools. Completes when nothing of the sandbox is left.
  [[nodiscard]] boost::asio::awaitable<Obituary> bury(std::unique_ptr<Slot> slot, Process clone);

  /// Tops the stock up in the background.
  void refill();

  /// No more refilling; buries the stock.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  [[nodiscard]] std::size_t ready() const { return slots_.size(); }
  /// Slots being buried now.
  [[nodiscard]] std::size_t dying() const { return dying_; }

  [[nodiscard]] const sandbox::Limits& limits() const { return options_.limits; }
  /// Whether clones have to be attached to cgroups after birth (cgroup v1).
  [[nodiscard]] bool attach_after_birth() const;
  [[nodiscard]] Worker& cgroup_worker() { return cgroup_worker_; }
  [[nodiscard]] std::uint32_t host_uid(const Slot& slot) const;

 private:
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> build();
  [[nodiscard]] boost::asio::awaitable<Result<sandbox::Cgroup>> take_cgroup();
  [[nodiscard]] boost::asio::awaitable<void> refill_loop();

  boost::asio::any_io_executor executor_;
  SlotStockOptions options_;
  netns::NetnsPool& netns_;
  sandbox::Keeper& keeper_;
  sandbox::CgroupPool& cgroups_;
  Worker& cgroup_worker_;
  UidPool& uids_;
  Ledger& ledger_;
  std::deque<std::unique_ptr<Slot>> slots_;
  std::vector<sandbox::Cgroup> spare_cgroups_;  ///< taken by the way, for the next slots
  std::size_t dying_ = 0;
  bool refilling_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
