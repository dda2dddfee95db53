#include "bench/netns_starts.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "bench/linked_network.h"
#include "bench/netns_stock.h"

namespace sock::bench {

namespace asio = boost::asio;

namespace {

/// Of one round.
struct Measured {
  std::vector<std::int64_t> own;
  std::vector<std::int64_t> all;
};

/// What the namespaces of a round come from and are kept by.
struct Sources {
  std::unique_ptr<NetnsStock> stock;     ///< kPooled
  std::optional<LinkedNetwork> network;  ///< kLinked
  std::vector<netns::Netns> leased;
};

class Burst {
 public:
  Burst(Starters& starters, Sources& sources, Method method, unsigned concurrency)
      : starters_(starters), sources_(sources), method_(method), leases_(concurrency) {}

  Result<> run(Measured& out) {
    starters_.expect(leases_.size());
    auto done = method_ == Method::kPooled ? sources_.stock->run(order_leased(this)) : order();
    if (!done) return done;
    const auto gone = starters_.go();
    if (!gone) return std::unexpected(gone.error());
    if (done = await(); !done) return done;
    for (std::size_t i = 0; i < leases_.size(); ++i) {
      const auto& start = starters_.result(i);
      if (start.step != nullptr) return fail_errno("start", start.step, start.error);
      out.own.push_back(leases_[i] + start.ended - start.began - start.queued);
      out.all.push_back(start.ended - gone->time_since_epoch().count());
    }
    return starters_.leave(leases_.size());
  }

 private:
  Result<> order() {
    for (std::size_t i = 0; i < leases_.size(); ++i) {
      if (auto sent = starters_.start(i, method_); !sent) return sent;
    }
    return {};
  }

  static asio::awaitable<Result<>> order_leased(Burst* self) {
    for (std::size_t i = 0; i < self->leases_.size(); ++i) {
      const auto before = Clock::now();
      auto netns = co_await self->sources_.stock->pool().lease();
      self->leases_[i] = (Clock::now() - before).count();
      if (!netns) co_return std::unexpected(std::move(netns.error()));
      auto sent = self->starters_.start(i, self->method_, netns->fd());
      if (!sent) co_return sent;
      self->sources_.leased.push_back(std::move(*netns));
    }
    co_return Result<>{};
  }

  Result<> await() {
    if (!sources_.network) return starters_.await();
    return starters_.await([this](Fd netns, Fd route) {
      return sources_.network->attach(std::move(netns), std::move(route));
    });
  }

  Starters& starters_;
  Sources& sources_;
  Method method_;
  std::vector<std::int64_t> leases_;  // what the lease of each took in nanoseconds; 0 without one
};

Result<Sources> prepare(const NetnsBench& bench, Method method, std::size_t starts) {
  Sources out;
  if (method == Method::kLinked) {
    auto network = LinkedNetwork::start(bench.users);
    if (!network) return std::unexpected(network.error());
    out.network.emplace(std::move(*network));
  }
  if (method == Method::kPooled) {
    auto stock = NetnsStock::start(bench.users, {bench.options.helper, starts, starts});
    if (!stock) return std::unexpected(stock.error());
    if (auto held = (*stock)->build_no_more(); !held) return std::unexpected(held.error());
    out.stock = std::move(*stock);
    out.leased.reserve(starts);
  }
  return out;
}

}  // namespace

Result<> measure_starts(NetnsBench& bench, Starters& starters, Method method,
                        unsigned concurrency) {
  const auto bursts = (bench.options.starts + concurrency - 1) / concurrency;
  auto sources = prepare(bench, method, std::size_t{bursts} * concurrency);
  if (!sources) return std::unexpected(sources.error());
  Measured measured;
  Burst burst(starters, *sources, method, concurrency);
  for (unsigned i = 0; i < bursts && !bench.interrupted; ++i) {
    if (auto done = burst.run(measured); !done) return done;
  }
  if (auto released = starters.release(); !released) return released;
  sources->leased.clear();
  sources->stock.reset();
  sources->network.reset();
  if (auto settled = bench.settle(); !settled) return std::unexpected(settled.error());
  if (bench.interrupted) return {};  // a round cut short says nothing
  bench.samples.add_nanoseconds(start_key(method, concurrency, "own"), std::move(measured.own));
  bench.samples.add_nanoseconds(start_key(method, concurrency, "all"), std::move(measured.all));
  return {};
}

std::string start_key(Method method, unsigned concurrency, const std::string& clock) {
  return "start." + name_of(method) + "." + std::to_string(concurrency) + "." + clock;
}

}  // namespace sock::bench
