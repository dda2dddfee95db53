#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/process.h"
#include "base/worker.h"
#include "manager/calls/attach_warmer.h"
#include "manager/calls/cgroup_stock.h"
#include "manager/calls/per_network.h"
#include "manager/calls/slot.h"
#include "manager/calls/slot_shelf.h"
#include "manager/calls/uid_pool.h"
#include "manager/calls/undertaker.h"
#include "manager/functions/function.h"
#include "manager/state/ledger.h"
#include "netns-pool/egress.h"
#include "netns-pool/netns_pool.h"
#include "sandbox/cgroup_pool.h"
#include "sandbox/keeper.h"

namespace sock::manager {

/// What sandboxes of the class nat take beyond the others.
struct NatAccess {
  netns::NetnsPool& netns;  ///< of namespaces with a link
  /// Lets pass what Egress says, in bounded time. After a failure the namespace is destroyed.
  std::function<boost::asio::awaitable<Result<>>(netns::Netns&, const netns::Egress&)> open;
  std::string resolv_conf;  ///< of their sandboxes
};

struct SlotStockOptions {
  std::size_t stock = 4;         ///< slots of the class none kept ready
  sandbox::Limits limits;        ///< in force in a fresh slot
  std::optional<NatAccess> nat;  ///< nothing: there are no slots of that class
};

/// Prepares slots of each network class ahead of demand, and has dead ones taken apart. Never is
/// one of another class given for want of the right one. On the event loop; not thread safe. The
/// parts it is given must outlive it.
class SlotStock {
 public:
  SlotStock(boost::asio::any_io_executor executor, SlotStockOptions options,
            netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
            Worker& cgroup_worker, UidPool& uids, Ledger& ledger);

  /// A slot of that class from the stock, else built now; for `owner` where that is known already.
  /// Starts refilling behind the caller's back. kInvalid for a class that is not offered.
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> take(
      Network network, const Function* owner = nullptr);

  /// Gives a slot of a class other than none the network that `function`, of the same class, may
  /// have. Once only, before anything of the function is in the slot, which after a failure must be
  /// buried.
  [[nodiscard]] boost::asio::awaitable<Result<>> open(Slot& slot, const Function& function);

  /// What a sandbox in the slot shall have as /etc/resolv.conf; empty: nothing.
  [[nodiscard]] std::string_view resolv_conf(const Slot& slot) const;

  /// Slots of that class to keep ready from now on. Ignored for one that is not offered.
  void set_stock(Network network, std::size_t stock);

  [[nodiscard]] bool offers(Network network) const { return shelves_[network] != nullptr; }

  /// The end of a slot that was taken; see Undertaker::bury().
  [[nodiscard]] boost::asio::awaitable<Obituary> bury(std::unique_ptr<Slot> slot, Process clone,
                                                      Haste haste);

  /// To be called once a second: lets the pool of cgroups shrink.
  void tick() { cgroups_.tick(); }

  /// A call waits for a clone that is yet to be made: others will most likely follow.
  void note_miss() {
    if (attach_after_birth_) warmer_.note_miss();
  }

  /// No more refilling; buries the stock and returns when no sandbox is left.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  [[nodiscard]] std::size_t ready() const;
  /// Slots being buried now.
  [[nodiscard]] std::size_t dying() const { return undertaker_.dying(); }

  [[nodiscard]] const sandbox::Limits& limits() const { return options_.limits; }
  /// Whether clones have to be attached to cgroups after birth (cgroup v1).
  [[nodiscard]] bool attach_after_birth() const { return attach_after_birth_; }
  [[nodiscard]] Worker& cgroup_worker() { return cgroup_worker_; }
  [[nodiscard]] std::uint32_t host_uid(const Slot& slot) const;

 private:
  [[nodiscard]] std::unique_ptr<SlotShelf> make_shelf(Network network);
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Slot>>> build(Network network,
                                                                            std::string owner = {});
  [[nodiscard]] boost::asio::awaitable<void> bury_unused(std::unique_ptr<Slot> slot);
  [[nodiscard]] netns::NetnsPool& pool(Network network);

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
  PerNetwork<std::unique_ptr<SlotShelf>> shelves_;  ///< null: not offered
  bool stopping_ = false;
};

}  // namespace sock::manager
