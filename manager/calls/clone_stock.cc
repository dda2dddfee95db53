#include "manager/calls/clone_stock.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr Millis kIdle{10'000};

/// Clones in the making at a time: one in the zygote while another confines itself.
constexpr unsigned kParallel = 2;

}  // namespace

CloneStock::CloneStock(asio::any_io_executor executor, CloneStockOptions options, CloneMaker make,
                       CloneBurier bury, std::function<void(const Error&)> on_failure)
    : executor_(std::move(executor)),
      options_(options),
      make_(std::move(make)),
      bury_(std::move(bury)),
      on_failure_(std::move(on_failure)),
      target_(options.min) {}

void CloneStock::set_min(std::uint32_t min) {
  options_.min = min;
  target_ = std::max(target_, min);
  refill();
}

std::unique_ptr<Clone> CloneStock::take() {
  shrink_if_idle();
  last_take_ = Clock::now();
  std::unique_ptr<Clone> clone;
  while (!clone && !clones_.empty()) {
    clone = std::move(clones_.front());
    clones_.pop_front();
    // One that died while parked is nobody's call's fault.
    if (!clone->alive()) asio::co_spawn(executor_, bury_(std::move(clone)), asio::detached);
  }
  if (!clone) {
    const std::uint32_t most = std::max(options_.min, options_.max);
    target_ = std::min(most, std::max<std::uint32_t>(target_ * 2, 1));
  }
  refill();
  return clone;
}

void CloneStock::shrink_if_idle() {
  const auto idle = std::chrono::duration_cast<Millis>(Clock::now() - last_take_) / kIdle;
  if (idle <= 0) return;
  const auto drop = static_cast<std::uint32_t>(std::min<std::int64_t>(idle, target_));
  target_ = std::max(options_.min, target_ - drop);
}

void CloneStock::refill() {
  const std::size_t have = clones_.size() + refilling_;
  if (stopping_ || have >= target_) return;
  // Counted before the first one starts: a loop that fails at once is over when co_spawn returns,
  // and must not be started again and again from here.
  const std::size_t loops = std::min<std::size_t>(kParallel - refilling_, target_ - have);
  for (std::size_t i = 0; i < loops; ++i) {
    ++refilling_;
    auto keep_alive = [](std::shared_ptr<CloneStock> self) -> asio::awaitable<void> {
      co_await self->refill_loop();
    };
    asio::co_spawn(executor_, keep_alive(shared_from_this()), asio::detached);
  }
}

asio::awaitable<void> CloneStock::refill_loop() {
  while (!stopping_ && clones_.size() + refilling_ <= target_) {
    auto clone = co_await make_();
    if (!clone) {
      if (!stopping_ && clone.error().code != Code::kDraining) on_failure_(clone.error());
      break;
    }
    if (stopping_) {
      co_await bury_(std::move(*clone));
      break;
    }
    clones_.push_back(std::move(*clone));
  }
  --refilling_;
}

asio::awaitable<void> CloneStock::stop() {
  stopping_ = true;
  while (!clones_.empty()) {
    auto clone = std::move(clones_.front());
    clones_.pop_front();
    co_await bury_(std::move(clone));
  }
}

}  // namespace sock::manager
