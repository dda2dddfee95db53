#include "bench/netns_sustained.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "bench/netns_stock.h"

namespace sock::bench {

namespace asio = boost::asio;

namespace {

struct Leases {
  netns::NetnsPool* pool = nullptr;
  std::vector<std::int64_t> latencies;
  std::uint64_t served = 0;
  std::uint64_t rejected = 0;
  std::uint64_t asked = 0;
  std::uint64_t dry_after = 0;  // valid once `dry` is
  Clock::time_point dry{};
  std::size_t waiting = 0;
  Result<> outcome;
};

asio::awaitable<void> lease_one(Leases* all) {
  ++all->waiting;
  ++all->asked;
  const auto misses = all->pool->stats().misses;
  const auto before = Clock::now();
  auto netns = co_await all->pool->lease();
  all->latencies.push_back((Clock::now() - before).count());
  --all->waiting;
  // The first to wait is the first to be served.
  if (all->dry == Clock::time_point{} && all->pool->stats().misses > misses) {
    all->dry = before;
    all->dry_after = all->served;
  }
  if (netns) {
    ++all->served;
    all->pool->retire(std::move(*netns));
  } else if (netns.error().code == Code::kRejected) {
    ++all->rejected;
  } else {
    all->outcome = std::unexpected(std::move(netns.error()));
  }
}

asio::awaitable<Result<>> lease_paced(Leases* all, unsigned rate, Clock::time_point began,
                                      Clock::time_point until, const std::atomic<bool>* stop) {
  const auto executor = co_await asio::this_coro::executor;
  const std::chrono::nanoseconds pause(rate == 0 ? 0 : 1'000'000'000 / rate);
  asio::steady_timer timer(executor);
  for (auto next = began; next < until && Clock::now() < until && !*stop; next += pause) {
    if (!all->outcome) break;
    if (rate == 0) {
      co_await lease_one(all);
      continue;
    }
    timer.expires_at(next);
    co_await timer.async_wait(asio::use_awaitable);
    asio::co_spawn(executor, lease_one(all), asio::detached);
  }
  while (all->waiting > 0) {
    timer.expires_after(Millis(1));
    co_await timer.async_wait(asio::use_awaitable);
  }
  co_return std::move(all->outcome);
}

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

}  // namespace

Result<> measure_sustained(NetnsBench& bench, unsigned rate) {
  const netns::PoolOptions defaults;
  auto stock = NetnsStock::start(bench.users, {bench.options.helper, defaults.low, defaults.high});
  if (!stock) return std::unexpected(stock.error());
  Leases leases;
  leases.pool = &(*stock)->pool();
  leases.latencies.reserve(100'000);
  const auto began = Clock::now();
  const auto until = began + Millis(static_cast<Millis::rep>(bench.options.seconds * 1000));
  auto done = (*stock)->run(lease_paced(&leases, rate, began, until, &bench.interrupted));
  const auto ended = Clock::now();
  if (!done) return done;
  const auto misses = (*stock)->pool().stats().misses;
  if (auto stopped = (*stock)->stop(); !stopped) return stopped;
  const auto drained = bench.settle();
  if (!drained) return std::unexpected(drained.error());
  if (bench.interrupted || leases.asked == 0) return {};
  const auto add = [&](const char* figure, double value) {
    bench.samples.add(sustained_key(rate) + "." + figure, value);
  };
  add("per_s", static_cast<double>(leases.served) * 1000 / milliseconds(began, ended));
  add("missed_percent", 100 * static_cast<double>(misses) / static_cast<double>(leases.asked));
  add("rejected", static_cast<double>(leases.rejected));
  add("backlog_ms", milliseconds(ended, *drained));
  if (leases.dry != Clock::time_point{}) {
    add("dry_after", static_cast<double>(leases.dry_after));
    add("dry_ms", milliseconds(began, leases.dry));
  }
  bench.samples.add_nanoseconds(sustained_key(rate), std::move(leases.latencies));
  return {};
}

std::string sustained_key(unsigned rate) { return "sustained." + std::to_string(rate); }

}  // namespace sock::bench
