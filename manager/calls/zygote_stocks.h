#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>

#include "manager/background.h"
#include "manager/calls/clone_stock.h"
#include "manager/calls/per_network.h"

namespace sock::manager {

/// The parked clones of one zygote: a CloneStock for each network class. All of them hold nothing
/// until they are told to, or asked for a clone. On the event loop; not thread safe.
class ZygoteStocks {
 public:
  using Maker = std::function<std::shared_ptr<CloneStock>(Network)>;

  explicit ZygoteStocks(const Maker& make) : stocks_(make(Network::kNone), make(Network::kNat)) {}

  [[nodiscard]] std::unique_ptr<Clone> take(Network network) { return stocks_[network]->take(); }

  /// See CloneStock, for every one of them.
  void set_min(const PerNetwork<std::uint32_t>& min);
  void tick();
  [[nodiscard]] std::size_t parked() const;
  /// What one parked clone takes, as measured so far.
  [[nodiscard]] std::uint64_t clone_bytes() const { return stocks_[Network::kNone]->clone_bytes(); }
  [[nodiscard]] boost::asio::awaitable<bool> wait_filled(Clock::time_point deadline);
  void inherit(ZygoteStocks& other);
  void stop(Background& background);

 private:
  PerNetwork<std::shared_ptr<CloneStock>> stocks_;
};

}  // namespace sock::manager
