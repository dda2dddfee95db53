#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <memory>

#include "base/process.h"
#include "base/worker.h"
#include "manager/background.h"
#include "manager/calls/attach_warmer.h"
#include "manager/calls/cgroup_stock.h"
#include "manager/calls/slot.h"
#include "manager/calls/uid_pool.h"
#include "manager/calls/undertaker.h"
#include "manager/state/ledger.h"
#include "netns-pool/netns_pool.h"
#include "sandbox/cgroup_pool.h"
#include "sandbox/keeper.h"

namespace sock::manager {

struct SlotStockOptions {
  std::size_t stock = 4;   ///< slots kept ready
  sandbox::Limits limits;  ///< in force in a fresh slot
};

/// Prepares slots ahead of demand, and has dead ones taken apart. On the event loop; not thread
/// safe. The parts it is given must outlive it.
class SlotStock {
 public:
  SlotStock(boost::asio::any_io_executor executor, SlotStockOptions options,
            netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
            Worker& cgroup_worker, UidPool& uids, Ledger& ledger);

  /// A slot from the stock, else built now. Starts refilling behind the caller's back.
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> take();

  /// The end of a slot that was taken; see Undertaker::bury().
  [[nodiscard]] boost::asio::awaitable<Obituary> bury(std::unique_ptr<Slot> slot, Process clone,
                                                      Haste haste);

  /// Tops the stock up in the background.
  void refill();

  /// To be called once a second: lets the pool of cgroups shrink.
  void tick() { cgroups_.tick(); }

  /// A call waits for a clone that is yet to be made: others will most likely follow.
  void note_miss() {
    if (attach_after_birth_) warmer_.note_miss();
  }

  /// No more refilling; buries the stock and returns when no sandbox is left.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  [[nodiscard]] std::size_t ready() const { return slots_.size(); }
  /// Slots being buried now.
  [[nodiscard]] std::size_t dying() const { return undertaker_.dying(); }

  [[nodiscard]] const sandbox::Limits& limits() const { return options_.limits; }
  /// Whether clones have to be attached to cgroups after birth (cgroup v1).
  [[nodiscard]] bool attach_after_birth() const { return attach_after_birth_; }
  [[nodiscard]] Worker& cgroup_worker() { return cgroup_worker_; }
  [[nodiscard]] std::uint32_t host_uid(const Slot& slot) const;

 private:
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> build();
  [[nodiscard]] boost::asio::awaitable<void> refill_loop();

  boost::asio::any_io_executor executor_;
  SlotStockOptions options_;
  netns::NetnsPool& netns_;
  sandbox::Keeper& keeper_;
  Worker& cgroup_worker_;
  UidPool& uids_;
  Ledger& ledger_;
  CgroupStock cgroups_;
  Undertaker undertaker_;
  AttachWarmer warmer_;
  bool attach_after_birth_;
  std::deque<std::unique_ptr<Slot>> slots_;
  bool refilling_ = false;
  Background refills_;
  bool stopping_ = false;
};

}  // namespace sock::manager
