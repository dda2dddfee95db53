#include "netns-pool/netns_builder.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/socket.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <functional>
#include <thread>

#include "netns-pool/namespace_id.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::missing_rights;

class NetnsBuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  }

  /// In a thread, because a builder moves the one it is used on.
  static void aside(const std::function<void()>& body) { std::thread(body).join(); }

  /// What verify() has to say once `change` was made to a new namespace.
  static std::string verdict_after(const std::function<void()>& change, BuildStep step) {
    std::string verdict;
    aside([&] {
      auto builder = NetnsBuilder::create();
      ASSERT_TRUE(builder);
      auto built = builder->build();
      ASSERT_TRUE(built) << built.error().detail;
      ASSERT_EQ(::setns(built->descriptor.get(), CLONE_NEWNET), 0);
      ASSERT_TRUE(NetnsBuilder::verify()) << "the control";
      change();
      auto verified = NetnsBuilder::verify();
      if (verified) return;
      EXPECT_EQ(verified.error().step, step);
      verdict = verified.error().detail;
    });
    return verdict;
  }
};

void set_loopback(unsigned long request, const std::function<void(ifreq&)>& fill) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq change{};
  change.ifr_name[0] = 'l';
  change.ifr_name[1] = 'o';
  fill(change);
  ASSERT_EQ(::ioctl(socket.get(), request, &change), 0);
}

void set_address(const char* text) {
  set_loopback(SIOCSIFADDR, [text](ifreq& change) {
    auto* address = reinterpret_cast<sockaddr_in*>(&change.ifr_addr);
    address->sin_family = AF_INET;
    ASSERT_EQ(::inet_pton(AF_INET, text, &address->sin_addr), 1);
  });
}

TEST_F(NetnsBuilderTest, BuildsWhatItVerifiesAndComesBack) {
  aside([] {
    auto builder = NetnsBuilder::create();
    ASSERT_TRUE(builder);
    const auto base = own_network_namespace();
    ASSERT_TRUE(base);
    auto first = builder->build();
    auto second = builder->build();
    ASSERT_TRUE(first && second);
    EXPECT_NE(first->inode, second->inode);
    EXPECT_NE(first->inode, base->inode);
    EXPECT_EQ(own_network_namespace().value_or(NamespaceId{}), *base);
    // The base has a loopback that nobody brought up.
    EXPECT_FALSE(NetnsBuilder::verify());
  });
}

TEST_F(NetnsBuilderTest, SeesLoopbackDown) {
  const auto down = [] { set_loopback(SIOCSIFFLAGS, [](ifreq& change) { change.ifr_flags = 0; }); };
  EXPECT_EQ(verdict_after(down, BuildStep::kVerifyLinks), "loopback is not up");
}

TEST_F(NetnsBuilderTest, SeesAnotherAddress) {
  const auto changed = [] { set_address("10.1.2.3"); };
  EXPECT_EQ(verdict_after(changed, BuildStep::kVerifyAddresses), "unexpected address 10.1.2.3/8");
}

TEST_F(NetnsBuilderTest, SeesTheAddressMissing) {
  const auto removed = [] { set_address("0.0.0.0"); };
  EXPECT_EQ(verdict_after(removed, BuildStep::kVerifyAddresses), "127.0.0.1 is missing");
}

TEST_F(NetnsBuilderTest, SeesAnotherLink) {
  bool added = false;
  const auto add = [&added] {
    nl_sock* socket = nl_socket_alloc();
    ASSERT_EQ(nl_connect(socket, NETLINK_ROUTE), 0);
    for (const char* type : {"dummy", "veth", "bridge", "ipip"}) {
      rtnl_link* link = rtnl_link_alloc();
      rtnl_link_set_name(link, "extra0");
      added = added || (rtnl_link_set_type(link, type) == 0 &&
                        rtnl_link_add(socket, link, NLM_F_CREATE | NLM_F_EXCL) == 0);
      rtnl_link_put(link);
    }
    nl_socket_free(socket);
  };
  const auto verdict = verdict_after(add, BuildStep::kVerifyLinks);
  if (!added) GTEST_SKIP() << "the kernel has none of dummy, veth, bridge, ipip";
  EXPECT_TRUE(verdict.starts_with("unexpected link ")) << verdict;
}

}  // namespace
}  // namespace sock::netns
