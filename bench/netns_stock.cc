#include "bench/netns_stock.h"

#include <signal.h>

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>

namespace sock::bench {

namespace asio = boost::asio;

namespace {

constexpr Millis kPatience{120'000};
constexpr Millis kTurn{20};

asio::awaitable<Result<>> lease_all(netns::NetnsPool* pool, std::size_t count,
                                    std::vector<netns::Netns>* leased,
                                    std::vector<std::int64_t>* took) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto before = Clock::now();
    auto netns = co_await pool->lease();
    const auto after = Clock::now();
    if (!netns) co_return std::unexpected(std::move(netns.error()));
    leased->push_back(std::move(*netns));
    took->push_back((after - before).count());
  }
  co_return Result<>{};
}

}  // namespace

Result<std::unique_ptr<NetnsStock>> NetnsStock::start(const UserNamespace& users,
                                                      const Spec& spec) {
  netns::PoolOptions options;
  options.low = spec.low;
  options.high = spec.high;
  options.helper = spec.helper;
  options.user_namespace = users.pidfd();
  options.furnish = spec.furnish;
  options.lease_timeout = kPatience;
  options.answer_timeout = kPatience;
  std::unique_ptr<NetnsStock> stock(new NetnsStock);
  options.place_helper = [self = stock.get()](pid_t pid) -> Result<> {
    self->helper_ = pid;
    return {};
  };
  const auto start_pool = [](NetnsStock* self,
                             netns::PoolOptions its) -> asio::awaitable<Result<>> {
    auto pool = co_await netns::NetnsPool::start(std::move(its));
    if (!pool) co_return std::unexpected(std::move(pool.error()));
    self->pool_ = std::move(*pool);
    co_return Result<>{};
  };
  if (auto started = stock->run(start_pool(stock.get(), std::move(options))); !started) {
    return std::unexpected(started.error());
  }
  return stock;
}

Result<> NetnsStock::run(asio::awaitable<Result<>> work) {
  std::optional<Result<>> outcome;
  asio::co_spawn(context_, std::move(work), [&](const std::exception_ptr& error, Result<> result) {
    if (error) result = fail(Code::kInternal, "benchmark", "a coroutine threw");
    outcome = std::move(result);
  });
  const auto deadline = Clock::now() + kPatience;
  while (!outcome && Clock::now() < deadline) {
    context_.restart();
    context_.run_one_for(kTurn);
  }
  if (!outcome) return fail(Code::kTimeout, "benchmark", "the pool does not get on");
  return std::move(*outcome);
}

Result<> NetnsStock::build_no_more() {
  // Our child, and not reaped as long as the pool has it: the number is nobody else's.
  if (::kill(helper_, SIGSTOP) < 0) return fail_errno("stop", "sock-netns");
  return {};
}

Result<std::vector<netns::Netns>> NetnsStock::lease(std::size_t count,
                                                    std::vector<std::int64_t>* took) {
  std::vector<std::int64_t> ignored;
  if (took == nullptr) took = &ignored;
  std::vector<netns::Netns> leased;
  leased.reserve(count);
  took->reserve(took->size() + count);
  if (auto done = run(lease_all(pool_.get(), count, &leased, took)); !done) {
    return std::unexpected(done.error());
  }
  return leased;
}

Result<> NetnsStock::stop() {
  if (!pool_) return {};
  const auto stop_pool = [](netns::NetnsPool* pool) -> asio::awaitable<Result<>> {
    co_await pool->stop();
    co_return Result<>{};
  };
  auto stopped = run(stop_pool(pool_.get()));
  pool_.reset();
  context_.restart();
  context_.poll();
  return stopped;
}

}  // namespace sock::bench
