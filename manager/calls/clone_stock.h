#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "base/stock_target.h"
#include "manager/calls/clone.h"
#include "manager/calls/stock_budget.h"
#include "manager/calls/stock_gate.h"

namespace sock::manager {

struct CloneStockOptions {
  std::uint32_t min = 1;  ///< parked clones kept without demand
  std::uint32_t max = 8;  ///< and under the heaviest demand
  /// Shared by all stocks; null is no bound.
  std::shared_ptr<StockBudget> budget = nullptr;
  std::shared_ptr<StockGate> gate = nullptr;
};

/// Makes one clone, confined and parked; see make_clone().
using CloneMaker = std::function<boost::asio::awaitable<Result<std::unique_ptr<Clone>>>()>;

/// Takes a clone apart that no call has used; see SlotStock::bury().
using CloneBurier = std::function<boost::asio::awaitable<void>(std::unique_ptr<Clone>)>;

/// Parked clones, all alike: of one zygote, or of one function. How many is for StockTarget to say,
/// when to make one for StockGate, and whether there is room for it for StockBudget. On the event
/// loop; not thread safe.
class CloneStock final : public StockBudget::Member,
                         public std::enable_shared_from_this<CloneStock> {
 public:
  /// What `make` and `bury` refer to must outlive the stock's stop(). `on_failure` hears of a clone
  /// that could not be made, unless sockd is stopping or busy; it may stop the stock.
  CloneStock(boost::asio::any_io_executor executor, CloneStockOptions options, CloneMaker make,
             CloneBurier bury, std::function<void(const Error&)> on_failure);
  ~CloneStock() override;

  /// A parked clone, or null when there is none: then make one. The stock refills behind the
  /// caller's back, and not before the call it was taken for has got going.
  [[nodiscard]] std::unique_ptr<Clone> take();

  /// At least this many from now on; starts making them.
  void set_min(std::uint32_t min);

  /// Gives back what is no longer needed and retries what failed. To be called about once a second.
  void tick();

  [[nodiscard]] std::size_t parked() const { return clones_.size(); }
  /// What one of them takes, smoothed; a guess until the first was measured.
  [[nodiscard]] std::uint64_t clone_bytes() const { return clone_bytes_; }

  /// Waits until it holds its minimum: true. False when it is stopped first, or at the deadline.
  [[nodiscard]] boost::asio::awaitable<bool> wait_filled(Clock::time_point deadline);

  /// Takes over what `other` holds, to be handed out first, and how much it has learnt to hold.
  void inherit(CloneStock& other);

  /// No more refilling; buries what is parked. Completes when nothing of the stock is at work.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  [[nodiscard]] double demand(Clock::time_point now) const override { return target_.rate(now); }
  [[nodiscard]] bool can_spare() const override { return clones_.size() > target_.min(); }
  void give_back() override;

 private:
  struct Parked {
    std::unique_ptr<Clone> clone;
    std::uint64_t bytes = 0;  ///< reserved in the budget
  };

  void refill_soon();
  void refill();
  [[nodiscard]] bool begin_one(std::uint32_t wanted);
  [[nodiscard]] boost::asio::awaitable<void> make_one(std::uint64_t bytes);
  [[nodiscard]] boost::asio::awaitable<void> bury_one(std::unique_ptr<Clone> clone);
  [[nodiscard]] std::unique_ptr<Clone> pop();
  void bury_behind(std::unique_ptr<Clone> clone);
  void measure(const Clone& clone);

  boost::asio::any_io_executor executor_;
  StockTarget target_;
  std::shared_ptr<StockBudget> budget_;
  std::shared_ptr<StockGate> gate_;
  CloneMaker make_;
  CloneBurier bury_;
  std::function<void(const Error&)> on_failure_;
  std::deque<Parked> clones_;
  std::uint64_t clone_bytes_;  ///< what one takes, smoothed
  std::uint64_t made_ = 0;
  unsigned making_ = 0;
  unsigned burying_ = 0;
  boost::asio::steady_timer start_;    ///< of the next refill
  boost::asio::steady_timer changed_;  ///< cancelled when something at work has ended
  bool start_set_ = false;
  bool refused_ = false;  ///< by the gate, which will call back
  bool resting_ = false;  ///< after a failure, until the next call or tick
  bool stopping_ = false;
};

/// Its stop(), for a stock that nobody else keeps alive.
[[nodiscard]] boost::asio::awaitable<void> stop_stock(std::shared_ptr<CloneStock> stock);

}  // namespace sock::manager
