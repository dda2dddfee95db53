#include "manager/calls/slot_stock.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/manager/calls/slot_fixture.h"

namespace sock::manager {
namespace {

using SlotStockTest = SlotFixture;

TEST_F(SlotStockTest, EachClassIsOfItsOwnPoolAndGoesBackThere) {
  start(Nat::kOffered);
  for (const Network network : {Network::kNone, Network::kNat}) {
    const bool nat = network == Network::kNat;
    netns::NetnsPool& own = nat ? *routable_ : *plain_;
    netns::NetnsPool& other = nat ? *plain_ : *routable_;
    const auto before = other.stats();
    auto slot = take(network);
    ASSERT_NE(slot, nullptr);
    EXPECT_EQ(slot->network, network);
    EXPECT_EQ(slot->home, &own);
    EXPECT_EQ(slot->netns.route() != nullptr, nat) << "of the other pool";
    const auto returned = own.stats().returned;
    bury(std::move(slot));
    if (watch()) {
      EXPECT_EQ(own.stats().returned, returned + 1);
    }
    EXPECT_EQ(other.stats().returned, before.returned);
    EXPECT_EQ(other.stats().destroyed, before.destroyed);
  }
}

TEST_F(SlotStockTest, AClassThatIsNotOfferedIsNotReplacedByAnother) {
  start(Nat::kNotOffered);
  EXPECT_FALSE(slots_->offers(Network::kNat));
  slots_->set_stock(Network::kNat, 2);
  const auto leases = plain_->stats().leases;
  const auto slot = run(slots_->take(Network::kNat));
  ASSERT_FALSE(slot);
  EXPECT_EQ(slot.error().code, Code::kInvalid);
  EXPECT_NE(slot.error().message.find("does not offer"), std::string::npos);
  EXPECT_EQ(plain_->stats().leases, leases);
  EXPECT_EQ(slots_->ready(), kStock);
}

TEST_F(SlotStockTest, NatSlotsAreKeptOnlyWhileTheyAreWanted) {
  start(Nat::kOffered);
  EXPECT_EQ(routable_->stats().leases, 0U);
  slots_->set_stock(Network::kNat, 2);
  EXPECT_TRUE(until([this] { return slots_->ready() == kStock + 2; }));
  auto slot = take(Network::kNat);
  ASSERT_NE(slot, nullptr);
  EXPECT_EQ(slot->network, Network::kNat);
  EXPECT_TRUE(until([this] { return slots_->ready() == kStock + 2; })) << "not refilled";
  const auto leases = routable_->stats().leases;
  EXPECT_EQ(leases, 3U);
  slots_->set_stock(Network::kNat, 0);
  EXPECT_EQ(slots_->ready(), kStock);
  EXPECT_TRUE(until([this] { return slots_->dying() == 0; }));
  bury(std::move(slot));
  EXPECT_EQ(slots_->ready(), kStock);
  EXPECT_EQ(routable_->stats().leases, leases);
}

TEST_F(SlotStockTest, ASlotThatIsFinishedWhenNobodyWantsItIsNotKept) {
  start(Nat::kOffered);
  slots_->set_stock(Network::kNat, 2);
  EXPECT_TRUE(until([this] { return routable_->stats().leases == 1; }));
  EXPECT_EQ(slots_->ready(), kStock);
  slots_->set_stock(Network::kNat, 0);
  const auto gone = [this] {
    const auto stats = routable_->stats();
    return stats.returned + stats.destroyed == stats.leases;
  };
  EXPECT_TRUE(until(gone));
  EXPECT_EQ(slots_->ready(), kStock);
}

}  // namespace
}  // namespace sock::manager
