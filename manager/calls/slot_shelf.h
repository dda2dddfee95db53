#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>

#include "base/error.h"
#include "manager/background.h"
#include "manager/calls/slot.h"

namespace sock::manager {

/// Slots of one network class, built ahead of demand. On the event loop; not thread safe.
class SlotShelf {
 public:
  using Builder = std::function<boost::asio::awaitable<Result<std::unique_ptr<Slot>>>()>;
  using Burier = std::function<boost::asio::awaitable<void>(std::unique_ptr<Slot>)>;

  /// Empty until it is told how much to hold. What `build` and `bury` refer to must outlive the
  /// shelf's stop().
  SlotShelf(const boost::asio::any_io_executor& executor, Builder build, Burier bury);

  /// Null when it is empty. Starts refilling behind the caller's back.
  [[nodiscard]] std::unique_ptr<Slot> take();

  /// Holds as many from now on: builds what is missing in the background, buries what is too many.
  void set_stock(std::size_t stock);

  /// No more refilling; returns when what it held is buried.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  [[nodiscard]] std::size_t ready() const { return slots_.size(); }

 private:
  void refill();
  [[nodiscard]] boost::asio::awaitable<void> refill_loop();
  void bury_all_but(std::size_t count);

  Builder build_;
  Burier bury_;
  std::size_t stock_ = 0;
  std::deque<std::unique_ptr<Slot>> slots_;
  bool refilling_ = false;
  Background work_;
  bool stopping_ = false;
};

}  // namespace sock::manager
