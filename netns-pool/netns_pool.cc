#include "netns-pool/netns_pool.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <utility>

#include "base/stock_target.h"
#include "netns-pool/builder_crew.h"
#include "netns-pool/caretaker.h"
#include "netns-pool/kept_namespaces.h"
#include "netns-pool/lease_queue.h"
#include "netns-pool/namespace_id.h"
#include "netns-pool/recent_median.h"

namespace sock::netns {

namespace asio = boost::asio;

namespace {

// So that a helper is not woken for every single lease.
constexpr std::size_t kRefill = 4;

/// How long one is kept for an owner who does not come back.
constexpr Millis kKeep{60'000};

constexpr Millis kStopPatience{10'000};

/// What the pool knows of a namespace, wherever that is.
struct Record {
  NetnsView view;
  std::shared_ptr<Inspected> inspected;  ///< null unless it may be kept
};

/// In stock; a lease from it must not have to look for anything.
struct Ready {
  Netns netns;
  Record* record;
};

CrewOptions crew_options(const PoolOptions& options) {
  return {.helper = {.program = options.helper,
                     .user_namespace = options.user_namespace,
                     .most = options.most,
                     .place = options.place_helper},
          .helpers = options.builders,
          .furnish = options.furnish,
          .timeout = options.answer_timeout};
}

}  // namespace

/// All of the pool. Coroutines take it by shared_ptr, as their first parameter, so that it
/// outlives them whatever becomes of the NetnsPool.
class NetnsPool::State final : public BuilderCrew::Client,
                               public std::enable_shared_from_this<State> {
 public:
  using Self = std::shared_ptr<State>;

  State(asio::any_io_executor executor, PoolOptions options, NamespaceId owner,
        std::uint64_t own_network)
      : executor_(std::move(executor)),
        options_(std::move(options)),
        owner_(owner),
        target_(static_cast<std::uint32_t>(options_.low),
                static_cast<std::uint32_t>(options_.high)),
        kept_(options_.high),
        queue_(executor_),
        caretaker_(options_.linker, options_.keep_for_owner),
        crew_(std::make_shared<BuilderCrew>(executor_, crew_options(options_))),
        stock_changed_(executor_),
        settled_(executor_) {
    // Never to be accepted as a sandbox's, even if the user namespaces agree.
    (void)live_->claim(own_network);
  }

  static asio::awaitable<Result<>> fill(Self self);
  static asio::awaitable<Result<Netns>> lease(Self self, std::string owner);
  static asio::awaitable<void> stop(Self self);
  void shutdown();
  void give_back(Netns netns, std::string owner);
  void retire(Netns netns);
  void tick();
  void note_owner(const Netns& netns, std::string_view owner);
  [[nodiscard]] bool keeps_for(std::string_view owner) const { return kept_.contains(owner); }
  [[nodiscard]] std::size_t ready() const { return stock_.size(); }
  [[nodiscard]] PoolStats stats() const;
  [[nodiscard]] std::vector<NetnsView> list() const;

 private:
  std::size_t wanted() override;
  Result<> built(BuildAnswer answer) override;
  void failed(const Error& error) override;
  void lost(const Error& error) override;

  static asio::awaitable<void> furnish(Self self, Netns netns, Micros building);
  void settle(Netns netns, const Judgement& judgement, std::string_view owner);
  static asio::awaitable<void> clean(Self self, Netns netns, std::string owner);
  [[nodiscard]] std::shared_ptr<Inspected> inspected(const Netns& netns) const;
  [[nodiscard]] Result<Netns> adopt(BuildAnswer answer);
  [[nodiscard]] bool room() const { return stock_.size() < options_.high || !queue_.empty(); }
  Netns handed(Netns netns, Record& record, std::string owner);
  void report_taken();
  void take_back(Netns netns);
  void put_in_stock(Netns netns, Micros took);
  enum class End { kFront, kBack };  ///< of the stock
  void hand_out(Netns netns, End end);
  void record_failure(const Error& error);
  void burn(Netns netns, const std::string& reason);
  void destroy(Netns netns);
  [[nodiscard]] std::string why_none() const;

  const asio::any_io_executor executor_;
  const PoolOptions options_;
  const NamespaceId owner_;
  const std::shared_ptr<LiveNamespaces> live_ = std::make_shared<LiveNamespaces>();

  StockTarget target_;
  std::map<std::uint64_t, Record> records_;  // by inode
  std::deque<Ready> stock_;                  // next first
  KeptNamespaces kept_;
  LeaseQueue queue_;  // empty unless the stock is
  Caretaker caretaker_;
  std::shared_ptr<BuilderCrew> crew_;
  std::uint32_t taken_ = 0;       // from stock, of which target_ has not heard yet
  std::size_t refill_below_ = 0;  // so many in stock
  std::size_t furnishing_ = 0;    // built, and not in stock yet
  std::size_t cleaning_ = 0;      // given back, and not yet known to be clean
  bool filling_ = true;           // until the target is met
  bool stopping_ = false;

  asio::steady_timer stock_changed_;  // cancelled to wake fill()
  asio::steady_timer settled_;        // cancelled when nothing is furnished or cleaned any more

  PoolStats counters_;
  RecentMedian build_us_;
};

asio::awaitable<Result<>> NetnsPool::State::fill(Self self) {
  self->crew_->start(self);
  const auto deadline = Clock::now() + 3 * self->options_.answer_timeout;
  while (self->stock_.size() < self->options_.low) {
    if (self->counters_.failures > 0) {
      co_return fail(Code::kInternal, "start network namespace pool", self->counters_.last_error);
    }
    if (self->stopping_) co_return fail(Code::kDraining, "start network namespace pool", "");
    if (Clock::now() >= deadline) {
      co_return fail(Code::kTimeout, "start network namespace pool",
                     std::to_string(self->stock_.size()) + " of " +
                         std::to_string(self->options_.low) + " namespaces were built in time" +
                         self->why_none());
    }
    self->stock_changed_.expires_at(deadline);
    auto woken = co_await self->stock_changed_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)woken;
  }
  co_return Result<>{};
}

asio::awaitable<Result<Netns>> NetnsPool::State::lease(Self self, std::string owner) {
  if (self->stopping_) {
    co_return fail(Code::kDraining, "lease network namespace", "the pool has stopped");
  }
  if (!owner.empty()) {
    if (auto kept = self->kept_.take(owner)) {
      Record& record = self->records_[kept->inode()];
      co_return self->handed(std::move(*kept), record, std::move(owner));
    }
  }
  if (!self->stock_.empty()) {
    Ready ready = std::move(self->stock_.front());
    self->stock_.pop_front();
    ++self->taken_;
    if (self->stock_.size() < self->refill_below_) self->crew_->request_soon();
    co_return self->handed(std::move(ready.netns), *ready.record, std::move(owner));
  }
  self->report_taken();
  self->target_.taken(Clock::now(), false);
  ++self->counters_.misses;
  const auto deadline = Clock::now() + self->options_.lease_timeout;
  self->crew_->request_soon();  // when this one is in the queue
  auto outcome = co_await self->queue_.wait(deadline);
  if (outcome) {
    if (!*outcome) co_return std::unexpected(outcome->error());
    Record& record = self->records_[(*outcome)->inode()];
    co_return self->handed(std::move(**outcome), record, std::move(owner));
  }
  co_return fail(Code::kRejected, "lease network namespace",
                 "none was ready within " + std::to_string(self->options_.lease_timeout.count()) +
                     " ms" + self->why_none());
}

std::string NetnsPool::State::why_none() const {
  if (!crew_->why_full().empty()) return "; " + crew_->why_full();
  if (counters_.last_error.empty()) return "";
  return "; latest failure: " + counters_.last_error;
}

/// What the caller of lease() gets, which is nobody else's from here on.
Netns NetnsPool::State::handed(Netns netns, Record& record, std::string owner) {
  ++counters_.leases;
  record.view.state = NetnsView::State::kLeased;
  record.view.owner = std::move(owner);
  ++record.view.leases;
  return netns;
}

void NetnsPool::State::report_taken() {
  target_.taken(Clock::now(), true, std::exchange(taken_, 0));
}

void NetnsPool::State::note_owner(const Netns& netns, std::string_view owner) {
  const auto found = records_.find(netns.inode());
  if (found != records_.end()) found->second.view.owner = owner;
}

asio::awaitable<void> NetnsPool::State::stop(Self self) {
  self->shutdown();
  co_await self->crew_->finished();
  const auto deadline = Clock::now() + kStopPatience;
  while (self->furnishing_ + self->cleaning_ > 0 && Clock::now() < deadline) {
    self->settled_.expires_at(deadline);
    auto woken = co_await self->settled_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)woken;
  }
}

void NetnsPool::State::shutdown() {
  if (stopping_) return;
  stopping_ = true;
  crew_->shutdown();
  stock_changed_.cancel();
  const Error stopped{Code::kDraining, "lease network namespace", 0, "the pool has stopped"};
  queue_.refuse_all(stopped);
  for (auto& ready : std::exchange(stock_, {})) destroy(std::move(ready.netns));
  for (auto& netns : kept_.take_older_than(Clock::time_point::max())) destroy(std::move(netns));
  caretaker_.stop();
}

void NetnsPool::State::give_back(Netns netns, std::string owner) {
  if (netns.fd() < 0) return;
  if (stopping_) return destroy(std::move(netns));
  if (caretaker_.needed()) {
    ++cleaning_;
    asio::co_spawn(executor_, clean(shared_from_this(), std::move(netns), std::move(owner)),
                   asio::detached);
    return;
  }
  if (!netns.as_built()) return burn(std::move(netns), "used");
  take_back(std::move(netns));
}

/// As built, or as good.
void NetnsPool::State::take_back(Netns netns) {
  if (!room()) return destroy(std::move(netns));
  ++counters_.returned;
  hand_out(std::move(netns), End::kFront);  // its memory is in the caches still
}

/// What takes longer than a look.
asio::awaitable<void> NetnsPool::State::clean(Self self, Netns netns, std::string owner) {
  std::shared_ptr<Inspected> inspected;
  if (!owner.empty()) inspected = self->inspected(netns);
  const auto judgement = co_await self->caretaker_.judge(netns, inspected);
  if (judgement.error) self->record_failure(*judgement.error);
  if (self->stopping_) {
    self->destroy(std::move(netns));
  } else {
    self->settle(std::move(netns), judgement, owner);
  }
  if (--self->cleaning_ == 0) self->settled_.cancel();
}

void NetnsPool::State::settle(Netns netns, const Judgement& judgement, std::string_view owner) {
  using Kind = Judgement::Kind;
  if (judgement.kind == Kind::kStained) return burn(std::move(netns), judgement.stain);
  if (judgement.kind == Kind::kUntouched) return take_back(std::move(netns));
  const auto inode = netns.inode();
  if (!kept_.put(owner, netns, Clock::now())) return destroy(std::move(netns));
  ++counters_.returned;
  records_[inode].view.state = NetnsView::State::kKept;
}

std::shared_ptr<Inspected> NetnsPool::State::inspected(const Netns& netns) const {
  const auto found = records_.find(netns.inode());
  return found == records_.end() ? nullptr : found->second.inspected;
}

void NetnsPool::State::retire(Netns netns) {
  if (netns.fd() >= 0) burn(std::move(netns), "retired");
}

void NetnsPool::State::burn(Netns netns, const std::string& reason) {
  ++counters_.burned;
  ++counters_.burns[reason];
  destroy(std::move(netns));
}

void NetnsPool::State::destroy(Netns netns) {
  ++counters_.destroyed;
  records_.erase(netns.inode());
}

void NetnsPool::State::tick() {
  if (stopping_) return;
  const auto now = Clock::now();
  report_taken();
  const std::size_t target = target_.wanted(now);
  for (; stock_.size() > target; stock_.pop_back()) destroy(std::move(stock_.back().netns));
  for (auto& netns : kept_.take_older_than(now - kKeep)) destroy(std::move(netns));
  // Those that ended elsewhere.
  std::erase_if(records_, [this](const auto& each) { return !live_->contains(each.first); });
  crew_->request();
}

PoolStats NetnsPool::State::stats() const {
  PoolStats stats = counters_;
  stats.ready = stock_.size();
  stats.kept = kept_.size();
  stats.leased = records_.size() - stock_.size() - kept_.size() - furnishing_;
  stats.target = target_.level();
  stats.low = options_.low;
  stats.high = options_.high;
  stats.most = options_.most;
  stats.full = crew_->times_full();
  stats.build_us_p50 = build_us_.median();
  return stats;
}

std::vector<NetnsView> NetnsPool::State::list() const {
  std::vector<NetnsView> views;
  views.reserve(records_.size());
  for (const auto& [inode, record] : records_) views.push_back(record.view);
  return views;
}

std::size_t NetnsPool::State::wanted() {
  const std::size_t coming = crew_->outstanding() + furnishing_;
  const std::size_t have = stock_.size() + coming;
  report_taken();
  const std::size_t target = target_.wanted(Clock::now());
  const std::size_t refill = std::clamp<std::size_t>(target / 4, 1, kRefill);
  refill_below_ = target + 1 - std::min(target + 1, refill);
  const std::size_t missing = target > have ? target - have : 0;
  if (missing >= refill) filling_ = true;
  if (missing == 0) filling_ = false;
  const std::size_t need = queue_.size() + (filling_ ? target : 0);
  return need > have ? need - have : 0;
}

/// An error means that the helper is not to be believed any further.
Result<Netns> NetnsPool::State::adopt(BuildAnswer answer) {
  auto netns = Netns::adopt(std::move(answer.descriptor), owner_, live_);
  if (!netns) return netns;
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
  return netns;
}

Result<> NetnsPool::State::built(BuildAnswer answer) {
  const auto build_us = answer.build_us;
  auto netns = adopt(std::move(answer));
  if (!netns) return std::unexpected(std::move(netns.error()));
  if (stopping_) return {};
  ++counters_.builds;
  build_us_.add(build_us);
  Record& record = records_[netns->inode()];
  record = {};
  record.view.inode = netns->inode();
  record.view.built = netns->built;
  if (caretaker_.needed()) {
    ++furnishing_;
    asio::co_spawn(executor_, furnish(shared_from_this(), std::move(*netns), Micros(build_us)),
                   asio::detached);
  } else {
    put_in_stock(std::move(*netns), Micros(build_us));
  }
  return {};
}

void NetnsPool::State::put_in_stock(Netns netns, Micros took) {
  crew_->note_good();
  target_.made(took);
  hand_out(std::move(netns), End::kBack);
}

/// What a namespace gets beyond what its helper can give it, before it enters the stock.
asio::awaitable<void> NetnsPool::State::furnish(Self self, Netns netns, Micros building) {
  const auto begin = Clock::now();
  auto furnished = co_await self->caretaker_.furnish(netns);
  if (self->stopping_) {
    self->destroy(std::move(netns));
  } else if (!furnished) {
    self->destroy(std::move(netns));
    self->crew_->note_bad();
    self->failed(furnished.error());
  } else {
    Record& record = self->records_[netns.inode()];
    record.inspected = std::move(*furnished);
    const auto address = netns.address();
    if (address) record.view.address = address->ipv4.to_string();
    const auto took = building + std::chrono::duration_cast<Micros>(Clock::now() - begin);
    self->put_in_stock(std::move(netns), took);
  }
  if (--self->furnishing_ == 0) self->settled_.cancel();
  self->crew_->request_soon();
}

void NetnsPool::State::failed(const Error& error) {
  record_failure(error);
  queue_.refuse(error);
}

void NetnsPool::State::lost(const Error& error) {
  record_failure(error);
  if (!crew_->alive()) queue_.refuse_all(error);
}

void NetnsPool::State::hand_out(Netns netns, End end) {
  if (!queue_.empty()) return queue_.serve(std::move(netns));
  Record& record = records_[netns.inode()];
  record.view.state = NetnsView::State::kReady;
  stock_.insert(end == End::kFront ? stock_.begin() : stock_.end(),
                Ready{std::move(netns), &record});
  stock_changed_.cancel();
}

void NetnsPool::State::record_failure(const Error& error) {
  ++counters_.failures;
  counters_.last_error = error.describe();
  stock_changed_.cancel();
}

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
asio::awaitable<Result<Netns>> NetnsPool::lease(std::string owner) {
  return State::lease(state_, std::move(owner));
}
asio::awaitable<void> NetnsPool::stop() { return State::stop(state_); }

void NetnsPool::give_back(Netns netns, std::string owner) {
  state_->give_back(std::move(netns), std::move(owner));
}
void NetnsPool::note_owner(const Netns& netns, std::string_view owner) {
  state_->note_owner(netns, owner);
}
void NetnsPool::retire(Netns netns) { state_->retire(std::move(netns)); }
void NetnsPool::tick() { state_->tick(); }
bool NetnsPool::keeps_for(std::string_view owner) const { return state_->keeps_for(owner); }
std::size_t NetnsPool::ready() const { return state_->ready(); }
PoolStats NetnsPool::stats() const { return state_->stats(); }
std::vector<NetnsView> NetnsPool::list() const { return state_->list(); }

}  // namespace sock::netns
