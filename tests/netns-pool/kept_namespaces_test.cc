#include "netns-pool/kept_namespaces.h"

#include <gtest/gtest.h>

namespace sock::netns {
namespace {

using std::chrono::seconds;

/// Namespaces that differ in when they were built, and are nothing else.
Netns made(int number) {
  Netns netns;
  netns.built = Clock::time_point(seconds(number));
  return netns;
}

int number_of(const Netns& netns) {
  return static_cast<int>(
      std::chrono::duration_cast<seconds>(netns.built.time_since_epoch()).count());
}

class KeptNamespacesTest : public testing::Test {
 protected:
  bool put(const char* owner, int number, int at = 0) {
    Netns netns = made(number);
    return kept_.put(owner, netns, Clock::time_point(seconds(at)));
  }

  /// -1: none.
  int take(const char* owner) {
    const auto netns = kept_.take(owner);
    return netns ? number_of(*netns) : -1;
  }

  KeptNamespaces kept_{3};
};

TEST_F(KeptNamespacesTest, GivesEachOwnerItsOwn) {
  EXPECT_TRUE(put("a@1", 1));
  EXPECT_TRUE(put("b@1", 2));
  EXPECT_TRUE(kept_.contains("a@1"));
  EXPECT_FALSE(kept_.contains("a@2"));
  EXPECT_EQ(take("a@2"), -1);
  EXPECT_EQ(take("a"), -1);
  EXPECT_EQ(take(""), -1);
  EXPECT_EQ(take("b@1"), 2);
  EXPECT_EQ(take("b@1"), -1);
  EXPECT_EQ(take("a@1"), 1);
  EXPECT_FALSE(kept_.contains("a@1"));
}

TEST_F(KeptNamespacesTest, TheLatestFirst) {
  EXPECT_TRUE(put("a", 1));
  EXPECT_TRUE(put("a", 2));
  EXPECT_EQ(take("a"), 2);
  EXPECT_EQ(take("a"), 1);
}

TEST_F(KeptNamespacesTest, LeavesWhatItHasNoRoomForToTheCaller) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(put("a", i));
  Netns netns = made(7);
  EXPECT_FALSE(kept_.put("b", netns, {}));
  EXPECT_EQ(number_of(netns), 7);
  EXPECT_EQ(kept_.size(), 3U);
  EXPECT_FALSE(kept_.contains("b"));
}

TEST_F(KeptNamespacesTest, LetsGoWhatNobodyCameFor) {
  EXPECT_TRUE(put("a", 1, 10));
  EXPECT_TRUE(put("a", 2, 20));
  EXPECT_TRUE(put("b", 3, 5));
  const auto old = kept_.take_older_than(Clock::time_point(seconds(20)));
  ASSERT_EQ(old.size(), 2U);
  EXPECT_EQ(number_of(old[0]), 1);
  EXPECT_EQ(number_of(old[1]), 3);
  EXPECT_EQ(kept_.size(), 1U);
  EXPECT_FALSE(kept_.contains("b"));
  EXPECT_EQ(take("a"), 2);
}

}  // namespace
}  // namespace sock::netns
