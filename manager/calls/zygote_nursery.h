#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "manager/calls/zygote_node.h"
#include "pkgcache/library.h"

namespace sock::manager {

struct ZygoteNurseryOptions {
  zygote::ZygoteOptions root;  ///< program, keeper, search path, filter, place
  CloneStockOptions stock;
  Millis import_timeout{60'000};
  unsigned replicas = 0;  ///< of all zygotes together
};

/// A zygote that has just become ready, not yet in the tree, and its stocks, still empty.
struct YoungZygote {
  std::shared_ptr<ZygoteGroup> zygotes;
  std::shared_ptr<ZygoteStocks> stocks;
  std::uint64_t generation = 0;
  std::string seal_error;  ///< why it is not sealed; empty when it is
};

/// Starts zygotes. What it is given must outlive it and what it starts. On the event loop; not
/// thread safe.
class ZygoteNursery {
 public:
  using OnDead = std::function<void(const ZygoteGroup&, const Error&)>;

  ZygoteNursery(boost::asio::any_io_executor executor, ZygoteNurseryOptions options,
                const pkgcache::Library& library, SlotStock& slots, Worker& worker, Ledger& ledger);

  /// A zygote as `spec` says: forked from `parent`, and of its generation; without one, exec'd anew
  /// as the first of a generation. Ready when a trial call in a clone of it went well. One that
  /// does not survive its sealing is started once more, unsealed, and so are its successors. Errors
  /// as Zygote::start(). `on_dead` is the group's.
  [[nodiscard]] boost::asio::awaitable<Result<YoungZygote>> start(
      pkgcache::ZygoteSpec spec, std::shared_ptr<const ZygoteNode> parent, OnDead on_dead);

  [[nodiscard]] std::uint32_t least_parked() const { return options_.stock.min; }

 private:
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<zygote::Zygote>>> bring_up(
      const pkgcache::ZygoteSpec& spec, std::shared_ptr<zygote::Zygote> origin, bool seal);

  boost::asio::any_io_executor executor_;
  ZygoteNurseryOptions options_;
  const pkgcache::Library& library_;
  SlotStock& slots_;
  Worker& worker_;
  Ledger& ledger_;
  std::shared_ptr<ReplicaLimit> replicas_;
  std::uint64_t generations_ = 0;
  std::map<std::string, std::string> unsealable_;  ///< zygotes' ids, and what sealing them did
};

}  // namespace sock::manager
