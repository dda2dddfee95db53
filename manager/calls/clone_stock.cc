#include "manager/calls/clone_stock.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <thread>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// From a clone being taken to the first work on its successor. A short call is over by then, and a
/// long one does not notice.
constexpr Millis kStartDelay{2};

/// What one clone takes before any was measured.
constexpr std::uint64_t kFirstGuess = 2ULL << 20;
/// What is not charged to its cgroup: a network namespace (210 KB of slab) and its pid 1.
constexpr std::uint64_t kOutsideCgroup = 384ULL << 10;
/// One clone in so many is measured: it takes a few reads of files.
constexpr std::uint64_t kMeasureEvery = 32;

/// Clones of one stock in the making at a time: one in the zygote while another confines itself.
unsigned most_at_once() {
  static const unsigned most = std::max(2U, std::thread::hardware_concurrency());
  return most;
}

std::shared_ptr<StockGate> always_open() {
  return std::make_shared<StockGate>([] { return true; });
}

std::shared_ptr<StockBudget> unlimited() { return std::make_shared<StockBudget>(UINT64_MAX); }

}  // namespace

CloneStock::CloneStock(asio::any_io_executor executor, CloneStockOptions options, CloneMaker make,
                       CloneBurier bury, std::function<void(const Error&)> on_failure)
    : executor_(std::move(executor)),
      target_(options.min, options.max),
      budget_(options.budget ? std::move(options.budget) : unlimited()),
      gate_(options.gate ? std::move(options.gate) : always_open()),
      make_(std::move(make)),
      bury_(std::move(bury)),
      on_failure_(std::move(on_failure)),
      clone_bytes_(kFirstGuess),
      start_(executor_),
      changed_(executor_, asio::steady_timer::time_point::max()) {
  budget_->join(*this);
}

CloneStock::~CloneStock() { budget_->leave(*this); }

void CloneStock::set_min(std::uint32_t min) {
  target_.set_min(min);
  refill();
}

void CloneStock::tick() {
  resting_ = false;
  // The oldest first: after inherit() they are those of the zygote that was replaced.
  const std::uint32_t wanted = target_.wanted(Clock::now());
  while (!stopping_ && clones_.size() > wanted) give_back();
  refill();
}

std::unique_ptr<Clone> CloneStock::pop() {
  auto parked = std::move(clones_.front());
  clones_.pop_front();
  budget_->release(parked.bytes);
  return std::move(parked.clone);
}

void CloneStock::give_back() { bury_behind(pop()); }

std::unique_ptr<Clone> CloneStock::take() {
  std::unique_ptr<Clone> clone;
  while (!clone && !clones_.empty()) {
    clone = pop();
    // One that died while parked is nobody's call's fault.
    if (!clone->alive()) bury_behind(std::exchange(clone, nullptr));
  }
  target_.taken(Clock::now(), clone != nullptr);
  resting_ = false;
  refill_soon();
  return clone;
}

void CloneStock::refill_soon() {
  if (stopping_ || start_set_) return;
  start_set_ = true;
  start_.expires_after(kStartDelay);
  start_.async_wait([weak = weak_from_this()](boost::system::error_code) {
    const auto self = weak.lock();
    if (!self) return;
    self->start_set_ = false;
    self->refill();
  });
}

void CloneStock::refill() {
  if (stopping_ || resting_) return;
  const std::uint32_t wanted = target_.wanted(Clock::now());
  const std::size_t have = clones_.size() + making_;
  if (have >= wanted || making_ >= most_at_once()) return;
  // Counted before the first one starts: one that fails at once is over when begin_one() returns,
  // and must not be started again and again from here.
  const std::size_t count = std::min<std::size_t>(most_at_once() - making_, wanted - have);
  for (std::size_t i = 0; i < count; ++i) {
    if (stopping_ || resting_ || !begin_one(wanted)) return;
  }
}

bool CloneStock::begin_one(std::uint32_t wanted) {
  const bool for_minimum = clones_.size() + making_ < target_.min();
  if (clones_.size() + making_ >= wanted) return false;
  if (for_minimum && making_ == 0) {
    gate_->enter_anyway();
  } else {
    if (refused_) return false;
    const auto retry = [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (!self) return;
      self->refused_ = false;
      self->refill();
    };
    refused_ = !gate_->enter(retry);
    if (refused_) return false;
  }
  const std::uint64_t bytes = clone_bytes_;
  if (!budget_->reserve(*this, bytes, for_minimum, Clock::now())) {
    gate_->leave();
    return false;
  }
  ++making_;
  auto keep_alive = [](std::shared_ptr<CloneStock> self,
                       std::uint64_t its_bytes) -> asio::awaitable<void> {
    co_await self->make_one(its_bytes);
  };
  asio::co_spawn(executor_, keep_alive(shared_from_this(), bytes), asio::detached);
  return true;
}

asio::awaitable<void> CloneStock::make_one(std::uint64_t bytes) {
  const auto begun = Clock::now();
  auto clone = co_await make_();
  if (!clone) {
    budget_->release(bytes);
    resting_ = true;
    const Code code = clone.error().code;
    const bool at_fault = code != Code::kDraining && code != Code::kRejected;
    if (!stopping_ && at_fault) on_failure_(clone.error());
  } else if (stopping_) {
    budget_->release(bytes);
    co_await bury_(std::move(*clone));
  } else {
    target_.made(std::chrono::duration_cast<Micros>(Clock::now() - begun + kStartDelay));
    measure(**clone);
    clones_.push_back({std::move(*clone), bytes});
  }
  --making_;
  changed_.cancel();
  gate_->leave();
  refill();
}

void CloneStock::measure(const Clone& clone) {
  if (made_++ % kMeasureEvery != 0 || !clone.slot) return;
  const auto usage = clone.slot->cgroup.usage();
  // 0 is a kernel that does not tell.
  if (!usage || usage->memory_peak_bytes == 0) return;
  const std::uint64_t bytes = usage->memory_peak_bytes + kOutsideCgroup;
  clone_bytes_ = made_ == 1 ? bytes : (3 * clone_bytes_ + bytes) / 4;
}

void CloneStock::bury_behind(std::unique_ptr<Clone> clone) {
  ++burying_;
  auto keep_alive = [](std::shared_ptr<CloneStock> self,
                       std::unique_ptr<Clone> its_clone) -> asio::awaitable<void> {
    co_await self->bury_one(std::move(its_clone));
  };
  asio::co_spawn(executor_, keep_alive(shared_from_this(), std::move(clone)), asio::detached);
}

asio::awaitable<void> CloneStock::bury_one(std::unique_ptr<Clone> clone) {
  co_await bury_(std::move(clone));
  --burying_;
  changed_.cancel();
}

asio::awaitable<bool> CloneStock::wait_filled(Clock::time_point deadline) {
  asio::steady_timer alarm(executor_, deadline);
  alarm.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self) self->changed_.cancel();
  });
  while (!stopping_ && clones_.size() < target_.min() && Clock::now() < deadline) {
    auto ignored = co_await changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  co_return !stopping_ && clones_.size() >= target_.min();
}

void CloneStock::inherit(CloneStock& other) {
  for (auto each = other.clones_.rbegin(); each != other.clones_.rend(); ++each) {
    clones_.push_front(std::move(*each));
  }
  other.clones_.clear();
  const std::uint32_t min = target_.min();
  target_ = other.target_;
  target_.set_min(min);
}

asio::awaitable<void> CloneStock::stop() {
  stopping_ = true;
  start_.cancel();
  changed_.cancel();
  while (!clones_.empty()) bury_behind(pop());
  while (making_ > 0 || burying_ > 0) {
    auto ignored = co_await changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
}

asio::awaitable<void> stop_stock(std::shared_ptr<CloneStock> stock) { co_await stock->stop(); }

}  // namespace sock::manager
