#include "netns-pool/slot_pool.h"

#include <gtest/gtest.h>

#include <set>

namespace sock::netns {
namespace {

constexpr Clock::time_point kStart{std::chrono::hours(1)};

TEST(SlotPool, HandsEachPlaceToOneAtATime) {
  SlotPool pool(5);
  std::set<std::uint16_t> numbers;
  for (int i = 0; i < 5; ++i) {
    const auto slot = pool.take(kStart);
    ASSERT_TRUE(slot) << slot.error().describe();
    numbers.insert(slot->number);
  }
  EXPECT_EQ(numbers, (std::set<std::uint16_t>{0, 1, 2, 3, 4}));
  const auto refused = pool.take(kStart);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRejected);
}

TEST(SlotPool, KeepsAPlaceBackUntilItsQuarantineIsOver) {
  SlotPool pool(1, Millis{100});
  const auto first = pool.take(kStart);
  ASSERT_TRUE(first);
  pool.give_back(*first, kStart);
  EXPECT_FALSE(pool.take(kStart + Millis{99}));
  const auto second = pool.take(kStart + Millis{100});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->number, first->number);
  EXPECT_NE(second->turn, first->turn);
}

TEST(SlotPool, PrefersTheLongestUnused) {
  SlotPool pool(3, Millis{0});
  const auto first = pool.take(kStart);
  ASSERT_TRUE(first);
  pool.give_back(*first, kStart);
  EXPECT_EQ(pool.take(kStart)->number, 1);
  EXPECT_EQ(pool.take(kStart)->number, 2);
  EXPECT_EQ(pool.take(kStart)->number, first->number);
}

TEST(SlotPool, APlaceGetsAnotherTurnWhileItIsTaken) {
  SlotPool pool(1, Millis{0});
  auto slot = pool.take(kStart);
  ASSERT_TRUE(slot);
  const auto first = *slot;
  pool.renew(*slot);
  EXPECT_EQ(slot->number, first.number);
  EXPECT_NE(slot->turn, first.turn);
  pool.give_back(*slot, kStart);
  const auto next = pool.take(kStart);
  ASSERT_TRUE(next);
  EXPECT_NE(next->turn, first.turn);
  EXPECT_NE(next->turn, slot->turn);
}

TEST(SlotPool, TurnsAreNeverZero) {
  SlotPool pool(1, Millis{0});
  for (int i = 0; i < 70'000; ++i) {
    const auto slot = pool.take(kStart);
    ASSERT_TRUE(slot);
    ASSERT_NE(slot->turn, 0) << "no zone at all";
    pool.give_back(*slot, kStart);
  }
}

TEST(SlotPool, IsBoundedByThePortsOfABridge) {
  SlotPool pool(2000);
  for (std::size_t i = 0; i < SlotPool::kMostTaken; ++i) ASSERT_TRUE(pool.take(kStart));
  EXPECT_EQ(pool.taken(), SlotPool::kMostTaken);
  const auto refused = pool.take(kStart);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRejected);
  EXPECT_NE(refused.error().message.find("1023 ports"), std::string::npos);
}

}  // namespace
}  // namespace sock::netns
