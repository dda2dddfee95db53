#include "manager/calls/clone_stock.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/manager/calls/clone_factory.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;

constexpr std::uint64_t kGuess = 2ULL << 20;  ///< of a clone that cannot be measured

class CloneStockTest : public testing::Test {
 protected:
  std::shared_ptr<CloneStock> stock(const CloneStockOptions& options) {
    auto on_failure = [this](const Error&) { ++failures_; };
    auto made = std::make_shared<CloneStock>(loop_.get_executor(), options, factory_.maker(),
                                             factory_.burier(), on_failure);
    made->set_min(options.min);
    return made;
  }

  /// Runs the loop until nothing is left to do.
  void settle() {
    loop_.restart();
    loop_.run();
  }

  void stop(const std::shared_ptr<CloneStock>& stock) {
    asio::co_spawn(loop_, stock->stop(), asio::detached);
    settle();
  }

  asio::io_context loop_;
  CloneFactory factory_{loop_};
  unsigned failures_ = 0;
};

TEST_F(CloneStockTest, HoldsItsMinimumAndRefillsBehindTheTaker) {
  const auto parked = stock({.min = 2, .max = 4});
  EXPECT_EQ(parked->parked(), 0U);
  settle();
  ASSERT_EQ(parked->parked(), 2U);
  const auto clone = parked->take();
  ASSERT_NE(clone, nullptr);
  EXPECT_EQ(factory_.made, 2U) << "refilled before the taker got going";
  settle();
  EXPECT_EQ(parked->parked(), 2U);
  EXPECT_EQ(factory_.made, 3U);
  stop(parked);
  EXPECT_EQ(factory_.buried, 2U);
}

TEST_F(CloneStockTest, GrowsWithMissesUpToItsMaximum) {
  const auto parked = stock({.min = 0, .max = 6});
  settle();
  EXPECT_EQ(parked->parked(), 0U);
  EXPECT_EQ(parked->take(), nullptr);
  settle();
  EXPECT_EQ(parked->parked(), 1U);
  for (int i = 0; i < 20; ++i) (void)parked->take();
  settle();
  EXPECT_EQ(parked->parked(), 6U);
  stop(parked);
}

TEST_F(CloneStockTest, NoneIsHandedOutThatDiedWhileParked) {
  const auto parked = stock({.min = 3, .max = 3});
  settle();
  factory_.far_ends.erase(factory_.far_ends.begin(), factory_.far_ends.begin() + 2);
  const auto clone = parked->take();
  ASSERT_NE(clone, nullptr);
  EXPECT_TRUE(clone->alive());
  EXPECT_EQ(parked->parked(), 0U);
  settle();
  EXPECT_EQ(factory_.buried, 2U);
  EXPECT_EQ(parked->parked(), 3U);
  stop(parked);
}

TEST_F(CloneStockTest, AFailureIsToldOnceAndTriedAgainWithTheNextTick) {
  factory_.error = Error{Code::kInternal, "test", 0, "no"};
  const auto parked = stock({.min = 1, .max = 4});
  settle();
  EXPECT_EQ(failures_, 1U);
  settle();
  EXPECT_EQ(failures_, 1U);
  parked->tick();
  settle();
  EXPECT_EQ(failures_, 2U);
  factory_.error.reset();
  parked->tick();
  settle();
  EXPECT_EQ(parked->parked(), 1U);
  stop(parked);
}

TEST_F(CloneStockTest, ABusySockdIsNobodysFailure) {
  factory_.error = Error{Code::kRejected, "test", 0, "no user id is free"};
  const auto parked = stock({.min = 1, .max = 4});
  settle();
  EXPECT_EQ(failures_, 0U);
  stop(parked);
}

TEST_F(CloneStockTest, MakesOneAtATimeOnABusyMachine) {
  factory_.takes = Millis(2);
  const auto gate = std::make_shared<StockGate>([] { return false; });
  const auto one = stock({.min = 0, .max = 8, .gate = gate});
  const auto other = stock({.min = 0, .max = 8, .gate = gate});
  for (int i = 0; i < 8; ++i) {
    (void)one->take();
    (void)other->take();
  }
  settle();
  EXPECT_EQ(one->parked(), 8U);
  EXPECT_EQ(other->parked(), 8U);
  // Each may begin its first at once only below its minimum, and these have none.
  EXPECT_EQ(factory_.at_once, 1U);
  stop(one);
  stop(other);
}

TEST_F(CloneStockTest, TheBudgetBoundsAllStocksTogether) {
  const auto budget = std::make_shared<StockBudget>(5 * kGuess);
  const auto idle = stock({.min = 1, .max = 8, .budget = budget});
  const auto busy = stock({.min = 1, .max = 8, .budget = budget});
  for (int i = 0; i < 2; ++i) (void)idle->take();
  settle();
  for (int i = 0; i < 30; ++i) (void)busy->take();
  settle();
  EXPECT_EQ(idle->parked(), 1U);
  EXPECT_EQ(busy->parked(), 4U);
  EXPECT_EQ(budget->used(), 5 * kGuess);
  stop(idle);
  stop(busy);
  EXPECT_EQ(budget->used(), 0U);
}

TEST_F(CloneStockTest, ASuccessorHandsOutWhatItInheritsFirst) {
  const auto budget = std::make_shared<StockBudget>(100 * kGuess);
  const auto old = stock({.min = 2, .max = 8, .budget = budget});
  settle();
  const auto young = stock({.min = 1, .max = 8, .budget = budget});
  settle();
  young->inherit(*old);
  EXPECT_EQ(old->parked(), 0U);
  EXPECT_EQ(young->parked(), 3U);
  EXPECT_EQ(budget->used(), 3 * kGuess);
  // The far ends tell them apart: the first two are the old ones'.
  factory_.far_ends.erase(factory_.far_ends.begin() + 2);
  const auto first = young->take();
  ASSERT_NE(first, nullptr);
  const auto second = young->take();
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(young->take(), nullptr) << "the third is dead";
  stop(old);
  stop(young);
}

TEST_F(CloneStockTest, StoppingWaitsForWhatIsInTheMaking) {
  factory_.takes = Millis(20);
  const auto parked = stock({.min = 2, .max = 2});
  loop_.restart();
  loop_.run_for(Millis(5));
  EXPECT_EQ(factory_.made, 0U);
  bool stopped = false;
  auto stop_it = [&]() -> asio::awaitable<void> {
    co_await parked->stop();
    stopped = true;
    EXPECT_EQ(factory_.buried, factory_.made);
  };
  asio::co_spawn(loop_, stop_it, asio::detached);
  settle();
  EXPECT_TRUE(stopped);
  EXPECT_EQ(parked->parked(), 0U);
  EXPECT_GT(factory_.made, 0U);
}

TEST_F(CloneStockTest, WaitsUntilItIsFilled) {
  factory_.takes = Millis(5);
  const auto parked = stock({.min = 2, .max = 2});
  std::optional<bool> filled;
  auto wait = [&]() -> asio::awaitable<void> {
    filled = co_await parked->wait_filled(Clock::now() + Millis(5'000));
    EXPECT_EQ(parked->parked(), 2U);
    co_await parked->stop();
    filled = *filled && !co_await parked->wait_filled(Clock::now() + Millis(5'000));
  };
  asio::co_spawn(loop_, wait, asio::detached);
  const auto begun = Clock::now();
  loop_.restart();
  while (!filled && Clock::now() - begun < Millis(4'000)) loop_.run_one();
  EXPECT_EQ(filled, true);
}

TEST_F(CloneStockTest, DoesNotWaitBeyondTheDeadline) {
  factory_.error = Error{Code::kInternal, "test", 0, "no"};
  const auto parked = stock({.min = 1, .max = 1});
  std::optional<bool> filled;
  auto wait = [&]() -> asio::awaitable<void> {
    filled = co_await parked->wait_filled(Clock::now() + Millis(30));
  };
  asio::co_spawn(loop_, wait, asio::detached);
  settle();
  EXPECT_EQ(filled, false);
}

}  // namespace
}  // namespace sock::manager
