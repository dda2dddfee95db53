#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/spawn.h"
#include "manager/calls/slot_stock.h"
#include "tests/manager/temporary_folder.h"

namespace sock::manager {

/// Real slots of both network classes: a keeper's shells in namespaces of two pools.
class SlotFixture : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sandboxes are not made of programs under sanitizers";
#endif
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto cgroups = sandbox::CgroupPool::create(
        {.parent = "sock-test-slots-" + std::to_string(::getpid()), .delegate_uid = kIdBase});
    if (!cgroups) GTEST_SKIP() << cgroups.error().describe();
    cgroups_ = std::move(*cgroups);
    helpers_ = program_folder().value() + "/";
    sandbox::KeeperOptions options;
    options.program = helpers_ + "sock-init";
    options.id_base = kIdBase;
    options.root = root();
    auto keeper = run(sandbox::Keeper::start(std::move(options)));
    ASSERT_TRUE(keeper) << keeper.error().describe();
    keeper_ = std::move(*keeper);
    auto ledger = Ledger::open(folder_.path() / "ledger", 64);
    ASSERT_TRUE(ledger) << ledger.error().describe();
    ledger_ = std::make_unique<Ledger>(std::move(ledger->ledger));
    plain_ = start_pool(netns::Furnish::kLoopback);
    routable_ = start_pool(netns::Furnish::kRoutable);
  }

  void TearDown() override {
    if (slots_) run(slots_->stop());
    for (auto* pool : {&plain_, &routable_}) {
      if (*pool) run((*pool)->stop());
    }
    if (keeper_) {
      EXPECT_TRUE(run(keeper_->stop(Clock::now() + kPatience)));
    }
  }

  template <class T>
  T run(boost::asio::awaitable<T> coroutine) {
    std::optional<T> value;
    auto keep = [](boost::asio::awaitable<T> inner,
                   std::optional<T>& out) -> boost::asio::awaitable<void> {
      out.emplace(co_await std::move(inner));
    };
    boost::asio::co_spawn(loop_, keep(std::move(coroutine), value), boost::asio::detached);
    EXPECT_TRUE(until([&] { return value.has_value(); }));
    return std::move(*value);
  }

  void run(boost::asio::awaitable<void> coroutine) {
    auto keep = [](boost::asio::awaitable<void> inner) -> boost::asio::awaitable<bool> {
      co_await std::move(inner);
      co_return true;
    };
    EXPECT_TRUE(run(keep(std::move(coroutine))));
  }

  bool until(const std::function<bool()>& done) {
    const auto deadline = Clock::now() + kPatience;
    while (!done() && Clock::now() < deadline) {
      loop_.restart();
      loop_.run_one_for(Millis(20));
    }
    return done();
  }

  std::unique_ptr<netns::NetnsPool> start_pool(netns::Furnish furnish) {
    netns::PoolOptions options;
    options.low = 2;
    options.high = 6;
    options.helper = helpers_ + "sock-netns";
    options.user_namespace = keeper_->pidfd();
    options.watch = watch();
    options.furnish = furnish;
    auto pool = run(netns::NetnsPool::start(std::move(options)));
    EXPECT_TRUE(pool) << pool.error().describe();
    if (!pool) return nullptr;
    return std::move(*pool);
  }

  /// Null where a namespace in which nothing happened cannot be told from others.
  std::shared_ptr<const netns::UseWatch> watch() {
    const auto folder = cgroups_->slots_dir();
    if (!folder) return nullptr;
    auto watch = netns::UseWatch::start(folder->get());
    return watch ? std::move(*watch) : nullptr;
  }

  enum class Nat { kOffered, kNotOffered };

  void start(Nat nat) {
    SlotStockOptions options{.stock = kStock, .limits = {}, .nat = {}};
    auto open = [this](netns::Netns& netns, const netns::Egress& egress) {
      return open_network(netns, egress);
    };
    if (nat == Nat::kOffered) options.nat.emplace(*routable_, open);
    slots_ = std::make_unique<SlotStock>(loop_.get_executor(), std::move(options), *plain_,
                                         *keeper_, *cgroups_, worker_, uids_, *ledger_);
    EXPECT_TRUE(until([this] { return slots_->ready() == kStock; }));
  }

  /// What sandboxes see of the host.
  virtual sandbox::RootOptions root() { return {}; }

  /// What NatAccess is.
  virtual boost::asio::awaitable<Result<>> open_network(netns::Netns&, const netns::Egress&) {
    co_return Result<>{};
  }

  std::unique_ptr<Slot> take(Network network) {
    auto slot = run(slots_->take(network));
    EXPECT_TRUE(slot) << slot.error().describe();
    return slot ? std::move(*slot) : nullptr;
  }

  void bury(std::unique_ptr<Slot> slot) {
    auto bury = [](SlotStock& slots, std::unique_ptr<Slot> its) -> boost::asio::awaitable<void> {
      (void)co_await slots.bury(std::move(its), Process(), Haste::kCallerWaits);
    };
    run(bury(*slots_, std::move(slot)));
  }

  static constexpr std::size_t kStock = 2;
  static constexpr Millis kPatience{20'000};
  static constexpr std::uint32_t kIdBase = 100'000;

  TemporaryFolder folder_;
  std::string helpers_;
  boost::asio::io_context loop_;
  Worker worker_;
  UidPool uids_{1000, 2000};
  std::unique_ptr<sandbox::CgroupPool> cgroups_;
  std::unique_ptr<sandbox::Keeper> keeper_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<netns::NetnsPool> plain_;
  std::unique_ptr<netns::NetnsPool> routable_;
  std::unique_ptr<SlotStock> slots_;
};

}  // namespace sock::manager
