// A bridge and its links alone, without the firewall.
#include "netns-pool/sandbox_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/bridge.h"
#include "netns-pool/forwarding.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns {
namespace {

using testing::ask;
using testing::make_namespace;
using testing::missing_rights;
using testing::route_of;
using testing::send_frame;
using testing::Servers;
using testing::Sniffer;
using testing::World;

constexpr MacAddress kEverybody{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
constexpr std::uint16_t kUnknownType = 0x88b5;  // for experiments, by the standard

class SandboxLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    world_ = std::make_unique<World>();
    before_ = world_->state_of_host();
    host_ = std::make_unique<Rtnetlink>(route_of(world_->host()));
    auto bridge = Bridge::create(*host_, name_, plan_);
    ASSERT_TRUE(bridge) << bridge.error().describe();
    bridge_ = *bridge;
  }

  Fd plug(std::uint16_t slot) {
    Fd netns = make_namespace();
    auto inside = route_of(netns.get());
    const auto done = SandboxLink::plug(*host_, inside, netns.get(), bridge_, name_.port(slot),
                                        plan_.sandbox(slot));
    EXPECT_TRUE(done) << done.error().describe();
    return netns;
  }

  void unplug(std::uint16_t slot) {
    const auto done = SandboxLink::unplug(*host_, bridge_, name_.port(slot), plan_.sandbox(slot));
    EXPECT_TRUE(done) << done.error().describe();
  }

  InstanceName name_ = InstanceName::parse("test").value();
  AddressPlan plan_ = testing::address_plan();
  std::unique_ptr<World> world_;
  std::string before_;
  std::unique_ptr<Rtnetlink> host_;
  Bridge bridge_;
};

TEST_F(SandboxLinkTest, ReachesTheGateway) {
  const Fd sandbox = plug(0);
  EXPECT_EQ(ask(sandbox.get(), "10.231.0.1", World::kWeb), "10.231.0.2");
  EXPECT_EQ(ask(sandbox.get(), "fd53:1::1", World::kWeb), "fd53:1::2");
}

TEST_F(SandboxLinkTest, IsReadyForBothFamiliesAtOnce) {
  // The kernel does part of it in the background: once in ten or twenty times too late.
  for (std::uint16_t slot = 0; slot < 40; ++slot) {
    const Fd sandbox = plug(slot);
    EXPECT_EQ(ask(sandbox.get(), "fd53:1::1", World::kWeb), plan_.sandbox(slot).ipv6->to_string());
    EXPECT_EQ(ask(sandbox.get(), "10.231.0.1", World::kWeb), plan_.sandbox(slot).ipv4.to_string());
  }
}

TEST_F(SandboxLinkTest, HasNoAddressButItsOwn) {
  const Fd sandbox = plug(3);
  const auto complaint = testing::complaint_inside(sandbox.get(), [] {
    auto text = read_file(AT_FDCWD, "/proc/self/net/if_inet6");
    return text ? *text : text.error().describe();
  });
  EXPECT_EQ(complaint.find("fe80"), std::string::npos) << complaint;
  EXPECT_NE(complaint.find("fd530001000000000000000000000005"), std::string::npos) << complaint;
}

TEST_F(SandboxLinkTest, NeighboursExchangeNoFrames) {
  const Fd one = plug(0);
  const Fd two = plug(1);
  Sniffer at_two(two.get());
  Sniffer at_host(world_->host());
  for (const auto& to : {plan_.sandbox(1).mac, kEverybody, MacAddress{0x33, 0x33, 0, 0, 0, 1}}) {
    send_frame(one.get(), to, plan_.sandbox(0).mac, kUnknownType, "from one to two");
    EXPECT_TRUE(at_host.saw("from one to two")) << "the control";
    EXPECT_FALSE(at_two.saw("from one to two"));
  }
  // Pretending to be two teaches the bridge nothing.
  send_frame(one.get(), plan_.gateway().mac, plan_.sandbox(1).mac, kUnknownType, "I am two");
  EXPECT_EQ(ask(two.get(), "10.231.0.1", World::kWeb), "10.231.0.3");
}

TEST_F(SandboxLinkTest, LeavesNothingBehind) {
  for (const auto slot : std::to_array<std::uint16_t>({0, 1, 500})) {
    const Fd sandbox = plug(slot);
    unplug(slot);
    unplug(slot);  // what is gone already is fine
  }
  EXPECT_TRUE(remove_links(*host_, name_));
  EXPECT_EQ(world_->state_of_host(), before_);
}

TEST_F(SandboxLinkTest, AFailedPlugLeavesNothingBehind) {
  const Fd netns = make_namespace();
  const auto before = world_->state_of_host();
  // The inside is configured last; this socket is of a namespace without an eth0.
  auto elsewhere = route_of(world_->outside());
  const auto done =
      SandboxLink::plug(*host_, elsewhere, netns.get(), bridge_, name_.port(0), plan_.sandbox(0));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kNotFound) << done.error().describe();
  EXPECT_EQ(world_->state_of_host(), before);
}

TEST_F(SandboxLinkTest, ASecondBridgeOfTheNameIsAConflict) {
  const auto second = Bridge::create(*host_, name_, plan_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_TRUE(host_->link(name_.bridge())) << "it belongs to the first";
}

TEST_F(SandboxLinkTest, RemovesByNameWhatACrashLeft) {
  const Fd mine = plug(7);
  const auto other_name = InstanceName::parse("test2").value();
  const auto other_plan =
      AddressPlan::create(boost::asio::ip::make_network_v4("10.232.0.0/24"), std::nullopt).value();
  auto other = Bridge::create(*host_, other_name, other_plan);
  ASSERT_TRUE(other) << other.error().describe();
  const Fd theirs = make_namespace();
  auto inside = route_of(theirs.get());
  ASSERT_TRUE(SandboxLink::plug(*host_, inside, theirs.get(), *other, other_name.port(0),
                                other_plan.sandbox(0)));
  ASSERT_TRUE(remove_links(*host_, name_));
  EXPECT_FALSE(host_->link(name_.bridge()));
  EXPECT_FALSE(host_->link(name_.port(7)));
  EXPECT_TRUE(host_->link("wan0"));
  EXPECT_EQ(ask(theirs.get(), "10.232.0.1", World::kWeb), "10.232.0.2");
  EXPECT_TRUE(remove_links(*host_, other_name));
  EXPECT_EQ(world_->state_of_host(), before_);
}

TEST_F(SandboxLinkTest, RemovesManyAtThePriceOfOne) {
  std::vector<Fd> boxes;
  for (std::uint16_t slot = 0; slot < 100; ++slot) boxes.push_back(plug(slot));
  const auto begin = Clock::now();
  ASSERT_TRUE(remove_links(*host_, name_));
  EXPECT_LT(micros_between(begin, Clock::now()), 1'000'000) << "one by one it is 2 s and more";
  EXPECT_EQ(world_->state_of_host(), before_);
}

TEST_F(SandboxLinkTest, ForwardingIsSeenAndNamed) {
  EXPECT_TRUE(check_forwarding_ipv4());
  EXPECT_TRUE(check_forwarding_ipv6());
  std::string ipv4;
  std::string ipv6;
  testing::inside(make_namespace().get(), [&] {
    if (const auto off = check_forwarding_ipv4(); !off) ipv4 = off.error().describe();
    if (const auto off = check_forwarding_ipv6(); !off) ipv6 = off.error().describe();
  });
  EXPECT_NE(ipv4.find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos) << ipv4;
  EXPECT_NE(ipv6.find("sysctl -w net.ipv6.conf.all.forwarding=1"), std::string::npos) << ipv6;
}

}  // namespace
}  // namespace sock::netns
