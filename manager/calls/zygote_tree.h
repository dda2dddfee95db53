#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "manager/calls/clone_stock.h"
#include "manager/state/ledger.h"
#include "pkgcache/catalogue.h"
#include "pkgcache/plan.h"
#include "zygote/zygote.h"

namespace sock::manager {

/// One node of the live tree.
struct ZygoteNode {
  enum class State {
    kStarting,
    kReady,
    kFailed,  ///< its packages cannot be a zygote, or it died; tried again after `retry_at`
  };

  pkgcache::ZygoteSpec spec;
  State state = State::kStarting;
  std::shared_ptr<zygote::Zygote> zygote;  ///< set when ready
  std::shared_ptr<const Fd> touches;       ///< what its clones populate; set when ready
  std::shared_ptr<CloneStock> stock;       ///< set when ready
  std::unique_ptr<LedgerTicket> ticket;
  std::string error;      ///< of the latest failure
  unsigned failures = 0;  ///< in a row
  Clock::time_point retry_at{};
  Clock::time_point ready_at{};
  std::uint64_t clones = 0;  ///< ever made from it

  [[nodiscard]] std::string packages() const;  ///< "numpy,pandas"; "" is the bare interpreter
};

/// A node chosen for a call; keeps it alive.
struct ZygoteChoice {
  std::shared_ptr<ZygoteNode> node;
  bool exact = false;  ///< it holds all of the wanted packages
};

struct ZygoteTreeOptions {
  zygote::ZygoteOptions root;  ///< program, keeper, search path, filter, place
  CloneStockOptions stock;
  Millis import_timeout{60'000};
};

/// The live zygotes, kept as a plan says: started parents first, restarted with back-off when they
/// die, retired when the plan drops them. On the event loop; not thread safe.
class ZygoteTree {
 public:
  ZygoteTree(boost::asio::any_io_executor executor, ZygoteTreeOptions options,
             const pkgcache::Catalogue& catalogue, SlotStock& slots, Worker& worker,
             Ledger& ledger);

  /// Starts the root; nothing works without it.
  [[nodiscard]] boost::asio::awaitable<Result<>> start();

  /// Brings the tree to `plan` in the background, most important first. `keep_ready` maps a node's
  /// id to the fewest parked clones it must hold.
  void adopt(pkgcache::ZygotePlan plan, std::map<std::string, std::uint32_t> keep_ready);

  /// The ready zygote that saves a package set most. Always one, the root at least, unless that
  /// has died and is being restarted.
  [[nodiscard]] Result<ZygoteChoice> choose(const std::vector<pkgcache::Package>& packages) const;

  /// The zygote failed to clone: take it out of service and start it anew.
  void mark_failed(ZygoteNode& node, const Error& error);

  [[nodiscard]] const std::map<std::string, std::shared_ptr<ZygoteNode>>& nodes() const {
    return nodes_;
  }
  [[nodiscard]] std::size_t parked() const;

  /// Retries what failed and is due. To be called about once a second.
  void tick() { kick(); }

  /// Buries all parked clones and kills all zygotes.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  [[nodiscard]] boost::asio::awaitable<void> reconcile();
  [[nodiscard]] boost::asio::awaitable<void> start_node(std::shared_ptr<ZygoteNode> node);
  [[nodiscard]] boost::asio::awaitable<void> watch(std::shared_ptr<ZygoteNode> node,
                                                   std::shared_ptr<zygote::Zygote> zygote);
  [[nodiscard]] boost::asio::awaitable<void> retire(std::shared_ptr<ZygoteNode> node);
  void kick();
  void rebuild_index();
  [[nodiscard]] std::shared_ptr<ZygoteNode> ready_ancestor(const ZygoteNode& node) const;

  boost::asio::any_io_executor executor_;
  ZygoteTreeOptions options_;
  const pkgcache::Catalogue& catalogue_;
  SlotStock& slots_;
  Worker& worker_;
  Ledger& ledger_;
  pkgcache::ZygotePlan plan_;
  std::map<std::string, std::uint32_t> keep_ready_;
  std::map<std::string, std::shared_ptr<ZygoteNode>> nodes_;
  std::vector<std::shared_ptr<ZygoteNode>> ready_;          ///< what choose() may pick,
  std::vector<std::vector<pkgcache::Package>> ready_sets_;  ///< and their packages
  bool reconciling_ = false;
  bool dirty_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
