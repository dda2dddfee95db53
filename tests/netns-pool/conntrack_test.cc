#include "netns-pool/conntrack.h"

#include <gtest/gtest.h>

#include "tests/netns-pool/nat_fixture.h"

namespace sock::netns {
namespace {

using testing::ask;
using testing::remembered_connections;
using testing::Transport;
using testing::World;

constexpr const char* kPublic4 = "203.0.113.9";
constexpr const char* kPublic6 = "2001:db8:2::9";

using ConntrackTest = testing::NatTest;

TEST_F(ConntrackTest, ForgetsTheConnectionsOfOneAddress) {
  auto conntrack = Conntrack::open();
  ASSERT_TRUE(conntrack) << conntrack.error().describe();
  const Fd one = sandbox(tenant(0));
  const Fd two = sandbox(tenant(1));
  const auto end = tenant(0).end;
  const auto forgotten = conntrack->forget(end.ipv4, 1);
  if (!forgotten && forgotten.error().sys_errno == EINVAL) {
    GTEST_SKIP() << "this kernel cannot: " << forgotten.error().describe();
  }
  must(forgotten);
  const auto connect = [](int netns, int count) {
    for (int i = 0; i < count; ++i) {
      for (const auto* server : {kPublic4, kPublic6}) {
        EXPECT_NE(ask(netns, server, World::kDns, Transport::kUdp), "denied");
      }
    }
  };
  ASSERT_EQ(remembered_connections(), 0);
  connect(one.get(), 3);
  connect(two.get(), 1);
  EXPECT_EQ(remembered_connections(), 8);
  must(conntrack->forget(end.ipv4, 2));
  EXPECT_EQ(remembered_connections(), 8) << "another turn's";
  must(conntrack->forget(end.ipv4, 1));
  EXPECT_EQ(remembered_connections(), 5) << "three of one's six and two's two";
  must(conntrack->forget(end.ipv4, 1));
  EXPECT_EQ(remembered_connections(), 5) << "none is fine";
}

}  // namespace
}  // namespace sock::netns
