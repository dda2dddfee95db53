#include "manager/calls/stock_gate.h"

#include <gtest/gtest.h>

namespace sock::manager {
namespace {

TEST(StockGate, OneAtATimeOnABusyMachine) {
  StockGate gate([] { return false; });
  int retries = 0;
  const auto retry = [&retries] { ++retries; };
  EXPECT_TRUE(gate.enter(retry));
  EXPECT_FALSE(gate.enter(retry));
  EXPECT_FALSE(gate.enter(retry));
  EXPECT_EQ(retries, 0);
  gate.leave();
  EXPECT_EQ(retries, 2);
  EXPECT_TRUE(gate.enter(retry));
  gate.leave();
  EXPECT_EQ(retries, 2) << "called back twice";
}

TEST(StockGate, MoreWhileACpuIsIdle) {
  bool idle = true;
  StockGate gate([&idle] { return idle; });
  const auto retry = [] {};
  EXPECT_TRUE(gate.enter(retry));
  EXPECT_TRUE(gate.enter(retry));
  idle = false;
  EXPECT_FALSE(gate.enter(retry));
}

TEST(StockGate, AStockBelowItsMinimumIsNotHeldUp) {
  StockGate gate([] { return false; });
  gate.enter_anyway();
  gate.enter_anyway();
  EXPECT_FALSE(gate.enter([] {}));
  gate.leave();
  EXPECT_FALSE(gate.enter([] {})) << "one is still inside";
  gate.leave();
  EXPECT_TRUE(gate.enter([] {}));
}

TEST(StockGate, ThoseRefusedTakeTurns) {
  StockGate gate([] { return false; });
  int done = 0;
  std::function<void()> retry = [&] {
    if (gate.enter(retry)) ++done;
  };
  ASSERT_TRUE(gate.enter(retry));
  for (int i = 0; i < 3; ++i) ASSERT_FALSE(gate.enter(retry));
  for (int left = 1; left <= 3; ++left) {
    gate.leave();
    EXPECT_EQ(done, left);
  }
}

}  // namespace
}  // namespace sock::manager
