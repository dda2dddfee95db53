#include "manager/calls/slot_shelf.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

SlotShelf::SlotShelf(const asio::any_io_executor& executor, Builder build, Burier bury)
    : build_(std::move(build)), bury_(std::move(bury)), work_(executor) {}

std::unique_ptr<Slot> SlotShelf::take() {
  std::unique_ptr<Slot> slot;
  if (!slots_.empty()) {
    slot = std::move(slots_.front());
    slots_.pop_front();
  }
  refill();
  return slot;
}

void SlotShelf::set_stock(std::size_t stock) {
  stock_ = stock;
  bury_all_but(stock_);
  refill();
}

void SlotShelf::refill() {
  if (refilling_ || stopping_ || slots_.size() >= stock_) return;
  refilling_ = true;
  work_.run(refill_loop());
}

asio::awaitable<void> SlotShelf::refill_loop() {
  while (!stopping_ && slots_.size() < stock_) {
    auto slot = co_await build_();
    if (!slot) {
      spdlog::warn("cannot prepare a sandbox: {}", slot.error().describe());
      break;
    }
    slots_.push_back(std::move(*slot));
  }
  // Fewer may have become enough meanwhile.
  bury_all_but(stock_);
  refilling_ = false;
}

void SlotShelf::bury_all_but(std::size_t count) {
  for (; slots_.size() > count; slots_.pop_back()) work_.run(bury_(std::move(slots_.back())));
}

asio::awaitable<void> SlotShelf::stop() {
  stopping_ = true;
  stock_ = 0;
  bury_all_but(0);
  (void)co_await work_.wait(Clock::time_point::max());
}

}  // namespace sock::manager
