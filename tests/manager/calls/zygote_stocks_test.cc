#include "manager/calls/zygote_stocks.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "tests/manager/calls/clone_factory.h"

namespace sock::manager {
namespace {

namespace asio = boost::asio;

class ZygoteStocksTest : public testing::Test {
 protected:
  /// The clones of one zygote, which tell by their factory of what class they are.
  struct Zygote {
    explicit Zygote(asio::io_context& loop) : factories(CloneFactory(loop), CloneFactory(loop)) {}

    PerNetwork<CloneFactory> factories;
    ZygoteStocks stocks{[this](Network network) {
      CloneFactory& factory = factories[network];
      return std::make_shared<CloneStock>(factory.executor(), CloneStockOptions{.min = 0, .max = 8},
                                          factory.maker(), factory.burier(), [](const Error&) {});
    }};
  };

  /// Runs the loop until nothing is left to do.
  void settle() {
    loop_.restart();
    loop_.run();
  }

  void stop(Zygote& zygote) {
    zygote.stocks.stop(background_);
    settle();
    EXPECT_EQ(zygote.stocks.parked(), 0U);
  }

  asio::io_context loop_;
  Background background_{loop_.get_executor()};
};

TEST_F(ZygoteStocksTest, EachClassHoldsClonesOfItsOwn) {
  Zygote zygote(loop_);
  zygote.stocks.set_min({2, 1});
  settle();
  EXPECT_EQ(zygote.stocks.parked(), 3U);
  EXPECT_EQ(zygote.factories[Network::kNone].made, 2U);
  EXPECT_EQ(zygote.factories[Network::kNat].made, 1U);
  // The only one of its class is dead: none of the other class replaces it.
  zygote.factories[Network::kNat].far_ends.clear();
  EXPECT_EQ(zygote.stocks.take(Network::kNat), nullptr);
  EXPECT_NE(zygote.stocks.take(Network::kNone), nullptr);
  stop(zygote);
}

TEST_F(ZygoteStocksTest, AClassHoldsNothingBeforeItIsWanted) {
  Zygote zygote(loop_);
  zygote.stocks.set_min({1, 0});
  zygote.stocks.tick();
  settle();
  EXPECT_EQ(zygote.factories[Network::kNat].made, 0U);
  EXPECT_EQ(zygote.stocks.take(Network::kNat), nullptr);
  settle();
  EXPECT_EQ(zygote.factories[Network::kNat].made, 1U);
  EXPECT_EQ(zygote.factories[Network::kNone].made, 1U) << "a miss of the other class";
  EXPECT_NE(zygote.stocks.take(Network::kNat), nullptr);
  stop(zygote);
}

TEST_F(ZygoteStocksTest, ASuccessorInheritsClassByClass) {
  Zygote old(loop_);
  old.stocks.set_min({1, 2});
  settle();
  Zygote young(loop_);
  young.stocks.inherit(old.stocks);
  EXPECT_EQ(old.stocks.parked(), 0U);
  EXPECT_EQ(young.stocks.parked(), 3U);
  EXPECT_NE(young.stocks.take(Network::kNone), nullptr);
  EXPECT_EQ(young.stocks.take(Network::kNone), nullptr);
  EXPECT_NE(young.stocks.take(Network::kNat), nullptr);
  EXPECT_NE(young.stocks.take(Network::kNat), nullptr);
  EXPECT_EQ(young.stocks.take(Network::kNat), nullptr);
  stop(old);
  stop(young);
}

TEST_F(ZygoteStocksTest, WaitsForEveryClass) {
  Zygote zygote(loop_);
  zygote.factories[Network::kNat].takes = Millis(20);
  zygote.stocks.set_min({1, 1});
  bool filled = false;
  auto wait = [&]() -> asio::awaitable<void> {
    filled = co_await zygote.stocks.wait_filled(Clock::now() + Millis(5'000));
    EXPECT_EQ(zygote.stocks.parked(), 2U);
    zygote.stocks.stop(background_);
  };
  background_.run(wait());
  settle();
  EXPECT_TRUE(filled);
  EXPECT_EQ(zygote.factories[Network::kNone].buried, 1U);
  EXPECT_EQ(zygote.factories[Network::kNat].buried, 1U);
}

}  // namespace
}  // namespace sock::manager
