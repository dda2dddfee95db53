#include "manager/calls/stock_budget.h"

#include <gtest/gtest.h>

namespace sock::manager {
namespace {

/// A stock of clones of `kBytes` each.
class FakeStock : public StockBudget::Member {
 public:
  static constexpr std::uint64_t kBytes = 10;

  FakeStock(StockBudget& budget, double calls, unsigned min)
      : budget_(budget), calls_(calls), min_(min) {
    budget_.join(*this);
  }
  ~FakeStock() override { budget_.leave(*this); }

  /// Makes as many as there is room for.
  unsigned grow(unsigned count) {
    for (unsigned i = 0; i < count && budget_.reserve(*this, kBytes, held_ < min_, {}); ++i) {
      ++held_;
    }
    return held_;
  }
  [[nodiscard]] unsigned held() const { return held_; }

  [[nodiscard]] double demand(Clock::time_point) const override { return calls_; }
  [[nodiscard]] bool can_spare() const override { return held_ > min_; }
  void give_back() override {
    --held_;
    budget_.release(kBytes);
  }

 private:
  StockBudget& budget_;
  double calls_;
  unsigned min_;
  unsigned held_ = 0;
};

TEST(StockBudget, GrantsUpToTheLimitAndNoFurther) {
  StockBudget budget(55);
  FakeStock stock(budget, 1, 0);
  EXPECT_EQ(stock.grow(100), 5U);
  EXPECT_EQ(budget.used(), 50U);
  stock.give_back();
  EXPECT_EQ(stock.grow(1), 5U);
}

TEST(StockBudget, TheBusyGetRoomFromThoseWithTheLeastDemand) {
  StockBudget budget(60);
  FakeStock idle(budget, 0, 1);
  FakeStock slow(budget, 2, 1);
  FakeStock busy(budget, 50, 1);
  EXPECT_EQ(idle.grow(3), 3U);
  EXPECT_EQ(slow.grow(3), 3U);
  EXPECT_EQ(busy.grow(1), 1U);
  EXPECT_EQ(idle.held(), 2U);
  EXPECT_EQ(slow.held(), 3U);
  EXPECT_EQ(busy.grow(10), 4U);
  // Never below a minimum.
  EXPECT_EQ(idle.held(), 1U);
  EXPECT_EQ(slow.held(), 1U);
  EXPECT_EQ(budget.used(), 60U);
}

TEST(StockBudget, EquallyBusyStocksLeaveEachOtherAlone) {
  StockBudget budget(60);
  FakeStock one(budget, 10, 0);
  FakeStock other(budget, 15, 0);
  EXPECT_EQ(one.grow(6), 6U);
  EXPECT_EQ(other.grow(6), 0U);
  EXPECT_EQ(one.held(), 6U);
}

TEST(StockBudget, MinimumsComeBeforeDemand) {
  StockBudget budget(60);
  FakeStock busy(budget, 1000, 1);
  EXPECT_EQ(busy.grow(6), 6U);
  FakeStock kept(budget, 0, 3);
  EXPECT_EQ(kept.grow(6), 3U);
  EXPECT_EQ(busy.held(), 3U);
}

TEST(StockBudget, MinimumsThatDoNotFitAreRefused) {
  StockBudget budget(40);
  FakeStock one(budget, 1, 3);
  FakeStock other(budget, 100, 3);
  EXPECT_EQ(one.grow(3), 3U);
  EXPECT_EQ(other.grow(3), 1U);
  EXPECT_EQ(one.held(), 3U);
  EXPECT_EQ(budget.used(), 40U);
}

TEST(StockBudget, OneThatIsLargerThanAllOfItEvictsNobody) {
  StockBudget budget(40);
  FakeStock idle(budget, 0, 0);
  FakeStock busy(budget, 10, 0);
  EXPECT_EQ(idle.grow(2), 2U);
  EXPECT_FALSE(budget.reserve(busy, 41, true, {}));
  EXPECT_EQ(idle.held(), 2U);
  StockBudget none(0);
  FakeStock nothing(none, 10, 2);
  EXPECT_EQ(nothing.grow(1), 0U);
}

TEST(StockBudget, ForgetsThoseThatLeft) {
  StockBudget budget(20);
  {
    FakeStock gone(budget, 0, 0);
    EXPECT_EQ(gone.grow(2), 2U);
    budget.release(20);
  }
  FakeStock busy(budget, 10, 0);
  EXPECT_EQ(busy.grow(5), 2U);
}

}  // namespace
}  // namespace sock::manager
