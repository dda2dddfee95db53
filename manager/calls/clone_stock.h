#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "manager/calls/clone.h"

namespace sock::manager {

struct CloneStockOptions {
  std::uint32_t min = 1;  ///< parked clones kept without demand
  std::uint32_t max = 8;  ///< and under the heaviest demand
};

/// Makes one clone, confined and parked; see make_clone().
using CloneMaker = std::function<boost::asio::awaitable<Result<std::unique_ptr<Clone>>>()>;

/// Takes a clone apart that no call has used; see SlotStock::bury().
using CloneBurier = std::function<boost::asio::awaitable<void>(std::unique_ptr<Clone>)>;

/// Parked clones, all alike: of one zygote, or of one function. The stock grows with demand (it
/// doubles each time a call found none) and shrinks by one for every kIdle without a call. On the
/// event loop; not thread safe.
class CloneStock : public std::enable_shared_from_this<CloneStock> {
 public:
  /// What `make` and `bury` refer to must outlive every clone they have at work, even after stop().
  /// `on_failure` hears of a clone that could not be made, unless sockd is stopping; it may stop
  /// the stock.
  CloneStock(boost::asio::any_io_executor executor, CloneStockOptions options, CloneMaker make,
             CloneBurier bury, std::function<void(const Error&)> on_failure);

  /// A parked clone, or null when there is none: then make one. Either way the stock refills behind
  /// the caller's back.
  [[nodiscard]] std::unique_ptr<Clone> take();

  /// At least this many from now on.
  void set_min(std::uint32_t min);

  [[nodiscard]] std::size_t parked() const { return clones_.size(); }

  /// No more refilling; buries what is parked.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  void refill();
  [[nodiscard]] boost::asio::awaitable<void> refill_loop();
  void shrink_if_idle();

  boost::asio::any_io_executor executor_;
  CloneStockOptions options_;
  CloneMaker make_;
  CloneBurier bury_;
  std::function<void(const Error&)> on_failure_;
  std::deque<std::unique_ptr<Clone>> clones_;
  std::uint32_t target_;
  Clock::time_point last_take_ = Clock::now();
  unsigned refilling_ = 0;  ///< loops at work, each making one clone
  bool stopping_ = false;
};

}  // namespace sock::manager
