#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "manager/background.h"
#include "manager/calls/zygote_index.h"
#include "manager/calls/zygote_node.h"
#include "manager/calls/zygote_nursery.h"
#include "manager/calls/zygote_rotation.h"
#include "manager/calls/zygote_stocks.h"
#include "pkgcache/library.h"
#include "pkgcache/plan.h"

namespace sock::manager {

/// The fewest parked clones that nodes must hold, by their ids and the network class. Where nothing
/// is said, a node holds the usual minimum of the class none, and of others nothing before somebody
/// wants a clone.
using FewestParked = std::map<std::pair<std::string, Network>, std::uint32_t>;

struct ZygoteTreeOptions {
  ZygoteNurseryOptions nursery;
  ZygoteRotationOptions rotation;
  SetWorth worth;  ///< empty: every package counts alike
};

/// For those who keep what depends on a zygote's very process or memory layout. Both are called on
/// the event loop and must not call back into the tree.
struct ZygoteObserver {
  /// The node has a new zygote and stocks.
  std::function<void(const ZygoteNode&)> on_ready;
  /// The zygote and stocks it has are about to be taken from it: it died, was dropped, or gets new
  /// ones, of which on_ready tells at once. Not called when the whole tree stops.
  std::function<void(const ZygoteNode&)> on_retired;
};

/// The live zygotes, kept as a plan says: started parents first, restarted with back-off when they
/// die, retired when the plan drops them, replaced now and then by a new generation. On the event
/// loop; not thread safe.
class ZygoteTree {
 public:
  ZygoteTree(boost::asio::any_io_executor executor, Background& background,
             ZygoteTreeOptions options, const pkgcache::Library& library, SlotStock& slots,
             Worker& worker, Ledger& ledger);

  /// Hears of zygotes from now on.
  void observe(ZygoteObserver observer) { observers_.push_back(std::move(observer)); }

  /// Starts the root; nothing works without it.
  [[nodiscard]] boost::asio::awaitable<Result<>> start();

  /// Brings the tree to `plan` in the background: first the nodes that are missing, in the plan's
  /// order; once those have clones parked, the ones that are not in it go. So calls always have the
  /// old node or the new.
  void adopt(pkgcache::ZygotePlan plan, FewestParked fewest);

  /// The ready zygote that saves a package set most. Always one, the root at least, unless that
  /// has died and is being restarted.
  [[nodiscard]] Result<ZygoteChoice> choose(const std::vector<pkgcache::Package>& packages) const;

  /// A call was given a clone: of a node, or of a function, whose memory is a node's as well.
  void note_clone() { rotation_.note_clone(); }

  [[nodiscard]] const std::map<std::string, std::shared_ptr<ZygoteNode>>& nodes() const {
    return nodes_;
  }
  [[nodiscard]] std::size_t parked() const;

  /// Packages are worth something else than before.
  void worth_changed() { rebuild_index(); }

  /// Retries what failed and is due, lets stocks shrink, rotates. To be called about once a second.
  void tick();

  /// Kills all zygotes and buries all parked clones, in the background. What is at work there ends
  /// soon, at the latest when the processes it works with are dead.
  void stop();

 private:
  [[nodiscard]] boost::asio::awaitable<void> reconcile();
  [[nodiscard]] boost::asio::awaitable<void> create_missing(const pkgcache::ZygotePlan& plan);
  void retire_others(const pkgcache::ZygotePlan& plan);
  [[nodiscard]] boost::asio::awaitable<void> start_node(std::shared_ptr<ZygoteNode> node);
  [[nodiscard]] boost::asio::awaitable<Result<>> renew(std::shared_ptr<ZygoteNode> node);
  void put_in_service(const std::shared_ptr<ZygoteNode>& node, YoungZygote young);
  void take_out_of_service(ZygoteNode& node);
  void mark_failed(ZygoteNode& node, const Error& error);
  [[nodiscard]] ZygoteNursery::OnDead on_dead(const std::shared_ptr<ZygoteNode>& node);
  void kick();
  void rebuild_index();
  [[nodiscard]] std::vector<std::shared_ptr<ZygoteNode>> in_plan_order() const;
  [[nodiscard]] std::shared_ptr<ZygoteNode> ready_ancestor(const ZygoteNode& node) const;
  [[nodiscard]] PerNetwork<std::uint32_t> least_parked(const std::string& id) const;

  boost::asio::any_io_executor executor_;
  Background& background_;
  ZygoteNursery nursery_;
  ZygoteRotation rotation_;
  std::vector<ZygoteObserver> observers_;
  pkgcache::ZygotePlan plan_;
  FewestParked fewest_;
  std::map<std::string, std::shared_ptr<ZygoteNode>> nodes_;
  SetWorth worth_;
  ZygoteIndex ready_;                      ///< what choose() may pick
  std::shared_ptr<ZygoteStocks> filling_;  ///< of a successor that is not in service yet
  bool reconciling_ = false;
  bool dirty_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
