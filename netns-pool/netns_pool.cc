#include "netns-pool/netns_pool.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <utility>
#include <vector>

#include "netns-pool/back_off.h"
#include "netns-pool/builder_process.h"
#include "netns-pool/namespace_id.h"
#include "netns-pool/recent_median.h"
#include "netns-pool/wire.h"

namespace sock::netns {

namespace asio = boost::asio;

namespace {

// Small, so that a burst of answers never holds the loop for long.
constexpr std::size_t kBatch = 4;
static_assert(kBatch <= kMaxBatch);

constexpr Millis kReapPatience{5000};
constexpr Millis kStopPatience{10000};

/// A lease in the queue; the timer's end or cancellation wakes it.
struct Waiter {
  explicit Waiter(const asio::any_io_executor& executor, Clock::time_point deadline)
      : timer(executor, deadline) {}
  asio::steady_timer timer;
  std::optional<Result<Netns>> outcome;
};

}  // namespace

/// All of the pool. Coroutines take it by shared_ptr, as their first parameter, so that it
/// outlives them whatever becomes of the NetnsPool.
class NetnsPool::State : public std::enable_shared_from_this<State> {
 public:
  using Self = std::shared_ptr<State>;

  State(asio::any_io_executor executor, PoolOptions options, NamespaceId owner,
        std::uint64_t own_network)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        owner_(owner),
        pause_timer_(executor_),
        stock_changed_(executor_),
        finished_(executor_) {
    // Never to be accepted as a sandbox's, even if the user namespaces agree.
    (void)live_->claim(own_network);
  }

  static asio::awaitable<Result<>> fill(Self self);
  static asio::awaitable<Result<Netns>> lease(Self self);
  static asio::awaitable<void> stop(Self self);
  void shutdown();
  void give_back(Netns netns);
  void retire(Netns netns);
  [[nodiscard]] PoolStats stats() const;

 private:
  static asio::awaitable<void> supervise(Self self);
  static asio::awaitable<Error> serve_answers(Self self);

  [[nodiscard]] Clock::time_point next_deadline() const;
  void request_builds();
  void request_builds_soon();
  [[nodiscard]] Result<> accept(BuildAnswer answer);
  enum class End { kFront, kBack };  ///< of the stock
  void hand_out(Netns netns, End end);
  void fail_front_waiter(const Error& error);
  void record_failure(const Error& error);

  const asio::any_io_executor executor_;
  const PoolOptions options_;
  const NamespaceId owner_;
  const std::shared_ptr<LiveNamespaces> live_ = std::make_shared<LiveNamespaces>();

  std::deque<Netns> stock_;                      // next first
  std::deque<std::shared_ptr<Waiter>> waiters_;  // first come first; only while the stock is empty
  std::unique_ptr<BuilderProcess> builder_;  // empty between helpers; only supervise() resets it
  std::size_t outstanding_ = 0;              // answers the helper owes
  Clock::time_point last_progress_{};        // latest request or answer
  BackOff back_off_;
  bool filling_ = true;  // from below low until high
  bool refill_posted_ = false;
  bool supervising_ = false;
  bool stopping_ = false;

  asio::steady_timer pause_timer_;
  asio::steady_timer stock_changed_;  // cancelled to wake fill()
  asio::steady_timer finished_;       // cancelled when supervise() ends

  PoolStats counters_;
  RecentMedian build_us_;
};

asio::awaitable<Result<>> NetnsPool::State::fill(Self self) {
  self->supervising_ = true;
  asio::co_spawn(self->executor_, supervise(self), asio::detached);
  const auto allowed = self->options_.build_timeout * (self->options_.low + 1);
  const auto deadline = Clock::now() + allowed;
  while (self->stock_.size() < self->options_.low) {
    if (self->counters_.failures > 0) {
      co_return fail(Code::kInternal, "start network namespace pool", self->counters_.last_error);
    }
    if (self->stopping_) co_return fail(Code::kDraining, "start network namespace pool", "");
    if (Clock::now() >= deadline) {
      co_return fail(Code::kTimeout, "start network namespace pool",
                     std::to_string(self->stock_.size()) + " of " +
                         std::to_string(self->options_.low) + " namespaces were built in time");
    }
    self->stock_changed_.expires_at(deadline);
    auto woken = co_await self->stock_changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)woken;
  }
  co_return Result<>{};
}

asio::awaitable<Result<Netns>> NetnsPool::State::lease(Self self) {
  if (self->stopping_) {
    co_return fail(Code::kDraining, "lease network namespace", "the pool has stopped");
  }
  if (!self->stock_.empty()) {
    Netns netns = std::move(self->stock_.front());
    self->stock_.pop_front();
    ++self->counters_.leases;
    if (self->stock_.size() < self->options_.low) self->request_builds_soon();
    co_return netns;
  }
  ++self->counters_.misses;
  const auto deadline = Clock::now() + self->options_.build_timeout;
  auto waiter = std::make_shared<Waiter>(self->executor_, deadline);
  self->waiters_.push_back(waiter);
  self->request_builds();
  auto woken = co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)woken;
  // First: a timer that ran out may still find that it was served before it got its turn.
  if (auto outcome = std::exchange(waiter->outcome, std::nullopt)) co_return std::move(*outcome);
  std::erase(self->waiters_, waiter);
  std::string message =
      "none was built within " + std::to_string(self->options_.build_timeout.count()) + " ms";
  if (!self->counters_.last_error.empty()) {
    message += "; latest failure: " + self->counters_.last_error;
  }
  co_return fail(Code::kRejected, "lease network namespace", std::move(message));
}

asio::awaitable<void> NetnsPool::State::stop(Self self) {
  self->shutdown();
  if (!self->supervising_) co_return;
  self->finished_.expires_after(kStopPatience);
  auto woken = co_await self->finished_.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)woken;
}

void NetnsPool::State::shutdown() {
  if (stopping_) return;
  stopping_ = true;
  // Wakes supervise(), which may be inside builder_: the object itself is left to it.
  if (builder_) builder_->kill();
  pause_timer_.cancel();
  stock_changed_.cancel();
  const Error stopped{Code::kDraining, "lease network namespace", 0, "the pool has stopped"};
  while (!waiters_.empty()) fail_front_waiter(stopped);
  counters_.destroyed += stock_.size();
  stock_.clear();
}

void NetnsPool::State::give_back(Netns netns) {
  if (netns.fd() < 0) return;
  const bool wanted = stock_.size() < options_.high || !waiters_.empty();
  const bool usable = wanted && !stopping_ && options_.watch != nullptr;
  if (usable && netns.as_built()) {
    ++counters_.returned;
    hand_out(std::move(netns), End::kFront);  // its memory is in the caches still
    return;
  }
  if (usable) ++counters_.burned;
  ++counters_.destroyed;
}

void NetnsPool::State::retire(Netns netns) {
  if (netns.fd() >= 0) ++counters_.destroyed;
}

PoolStats NetnsPool::State::stats() const {
  PoolStats stats = counters_;
  stats.ready = stock_.size();
  stats.low = options_.low;
  stats.high = options_.high;
  stats.build_us_p50 = build_us_.median();
  return stats;
}

/// Keeps one helper alive until the pool stops.
asio::awaitable<void> NetnsPool::State::supervise(Self self) {
  while (!self->stopping_) {
    BuilderOptions options{self->options_.helper, self->options_.user_namespace,
                           self->options_.place_helper};
    auto started = BuilderProcess::start(self->executor_, options);
    Error loss;
    if (started) {
      self->builder_ = std::move(*started);
      loss = co_await serve_answers(self);
      self->builder_->kill();
      co_await self->builder_->reap(Clock::now() + kReapPatience);
      self->builder_.reset();
      self->outstanding_ = 0;
    } else {
      loss = std::move(started.error());
    }
    if (self->stopping_) break;
    loss.code = Code::kInternal;  // ours, whatever it was to the socket
    self->record_failure(loss);
    while (!self->waiters_.empty()) self->fail_front_waiter(loss);
    self->pause_timer_.expires_at(self->back_off_.until());
    auto woken = co_await self->pause_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)woken;
  }
  self->supervising_ = false;
  self->finished_.cancel();
}

/// Asks for builds and takes in what comes, until the helper is gone or must go; returns why.
asio::awaitable<Error> NetnsPool::State::serve_answers(Self self) {
  for (;;) {
    self->request_builds();
    const auto deadline = self->next_deadline();
    auto answer = co_await self->builder_->receive(deadline);
    if (self->stopping_) co_return Error{};
    if (!answer && answer.error().code == Code::kTimeout) {
      // A request may have gone out after this wait began.
      if (self->outstanding_ == 0 || Clock::now() < self->next_deadline()) continue;
      co_return Error{Code::kInternal, "build network namespace", 0,
                      "sock-netns gave no answer within " +
                          std::to_string(self->options_.build_timeout.count()) + " ms"};
    }
    if (!answer) co_return std::move(answer.error());
    auto accepted = self->accept(std::move(*answer));
    if (!accepted) co_return std::move(accepted.error());
  }
}

Clock::time_point NetnsPool::State::next_deadline() const {
  if (outstanding_ > 0) return last_progress_ + options_.build_timeout;
  if (!back_off_.over()) return back_off_.until();
  return Clock::now() + options_.build_timeout;
}

void NetnsPool::State::request_builds() {
  if (stopping_ || !builder_ || outstanding_ > 0 || !back_off_.over()) return;
  if (stock_.size() < options_.low || !waiters_.empty()) filling_ = true;
  if (stock_.size() >= options_.high && waiters_.empty()) filling_ = false;
  if (!filling_) return;
  const std::size_t missing = options_.high - std::min(stock_.size(), options_.high);
  const std::size_t count = std::min(missing + waiters_.size(), kBatch);
  // Refused only when the helper is gone, which the receiver is about to see too.
  if (!builder_->request(count, options_.furnish)) return;
  outstanding_ = count;
  last_progress_ = Clock::now();
}

/// From the loop's next turn: the system call and the helper's wake-up are not the caller's.
void NetnsPool::State::request_builds_soon() {
  if (refill_posted_ || outstanding_ > 0) return;
  refill_posted_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    self->refill_posted_ = false;
    self->request_builds();
  });
}

/// An error means that the helper is not to be believed any further.
Result<> NetnsPool::State::accept(BuildAnswer answer) {
  if (answer.kind == BuildAnswer::Kind::kStartFailed) {
    return std::unexpected(std::move(answer.error));
  }
  if (outstanding_ == 0) {
    return fail(Code::kInvalid, "build network namespace", "sock-netns answered without a request");
  }
  --outstanding_;
  last_progress_ = Clock::now();
  if (answer.kind == BuildAnswer::Kind::kBuildFailed) {
    record_failure(answer.error);
    fail_front_waiter(answer.error);
    return {};
  }
  auto netns = Netns::adopt(std::move(answer.descriptor), owner_, live_);
  if (!netns) return std::unexpected(std::move(netns.error()));
  if (netns->inode() != answer.inode) {
    return fail(Code::kInvalid, "build network namespace",
                "sock-netns sent net:[" + std::to_string(netns->inode()) + "] as net:[" +
                    std::to_string(answer.inode) + "]");
  }
  if (options_.furnish == Furnish::kRoutable) {
    auto routed = netns->take_route(std::move(answer.route));
    if (!routed) return std::unexpected(std::move(routed.error()));
  }
  if (options_.watch && answer.census) {
    // One that cannot be watched, because there are too many, is used once.
    auto watched = netns->watch(std::move(answer.census), options_.watch);
    if (!watched && watched.error().code == Code::kInvalid) {
      return std::unexpected(std::move(watched.error()));
    }
  }
  ++counters_.builds;
  build_us_.add(answer.build_us);
  back_off_.succeeded();
  hand_out(std::move(*netns), End::kBack);
  return {};
}

void NetnsPool::State::hand_out(Netns netns, End end) {
  if (waiters_.empty()) {
    stock_.insert(end == End::kFront ? stock_.begin() : stock_.end(), std::move(netns));
    stock_changed_.cancel();
    return;
  }
  const auto waiter = std::move(waiters_.front());
  waiters_.pop_front();
  ++counters_.leases;
  waiter->outcome = std::move(netns);
  waiter->timer.cancel();
}

void NetnsPool::State::fail_front_waiter(const Error& error) {
  if (waiters_.empty()) return;
  const auto waiter = std::move(waiters_.front());
  waiters_.pop_front();
  waiter->outcome = std::unexpected(error);
  waiter->timer.cancel();
}

void NetnsPool::State::record_failure(const Error& error) {
  ++counters_.failures;
  counters_.last_error = error.describe();
  back_off_.failed();
  stock_changed_.cancel();
}

namespace {

Result<> check(const PoolOptions& options) {
  const auto invalid = [](std::string what) {
    return fail(Code::kInvalid, "network namespace pool", std::move(what));
  };
  if (options.high == 0 || options.high > NetnsPool::kMaxHigh) {
    return invalid("high must be 1 to " + std::to_string(NetnsPool::kMaxHigh) + ", not " +
                   std::to_string(options.high));
  }
  if (options.low > options.high) {
    return invalid("low (" + std::to_string(options.low) + ") is above high (" +
                   std::to_string(options.high) + ")");
  }
  if (options.build_timeout <= Millis{0}) return invalid("build_timeout must be positive");
  if (options.helper.empty()) return invalid("no path of sock-netns");
  return {};
}

}  // namespace

asio::awaitable<Result<std::unique_ptr<NetnsPool>>> NetnsPool::start(PoolOptions options) {
  const auto executor = co_await asio::this_coro::executor;
  if (auto checked = check(options); !checked) co_return std::unexpected(checked.error());
  auto owner = user_namespace_of(options.user_namespace);
  if (!owner) co_return std::unexpected(owner.error());
  auto own_network = own_network_namespace();
  if (!own_network) co_return std::unexpected(own_network.error());
  auto state = std::make_shared<State>(executor, std::move(options), *owner, own_network->inode);
  std::unique_ptr<NetnsPool> pool(new NetnsPool(state));
  auto filled = co_await State::fill(state);
  if (!filled) {
    co_await State::stop(state);
    co_return std::unexpected(filled.error());
  }
  co_return pool;
}

NetnsPool::NetnsPool(std::shared_ptr<State> state) : state_(std::move(state)) {}
NetnsPool::~NetnsPool() { state_->shutdown(); }

// Not coroutines themselves: those would hold `this`, and start only when awaited.
asio::awaitable<Result<Netns>> NetnsPool::lease() { return State::lease(state_); }
asio::awaitable<void> NetnsPool::stop() { return State::stop(state_); }
void NetnsPool::give_back(Netns netns) { state_->give_back(std::move(netns)); }
void NetnsPool::retire(Netns netns) { state_->retire(std::move(netns)); }
PoolStats NetnsPool::stats() const { return state_->stats(); }

}  // namespace sock::netns
