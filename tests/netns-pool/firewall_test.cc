// What passes, and what does not: real packets between namespaces.
#include "netns-pool/firewall.h"

#include <gtest/gtest.h>
#include <net/ethernet.h>

#include "tests/netns-pool/nat_fixture.h"

namespace sock::netns {
namespace {

using testing::ask;
using testing::make_namespace;
using testing::NatTest;
using testing::ruleset;
using testing::send_frame;
using testing::Sniffer;
using testing::to_v4;
using testing::to_v6;
using testing::Transport;
using testing::udp_packet;
using testing::World;

constexpr const char* kDenied = "denied";
constexpr const char* kHost4 = "198.51.100.1";
constexpr const char* kHost6 = "2001:db8:1::1";
constexpr const char* kPublic4 = "203.0.113.9";
constexpr const char* kPublic6 = "2001:db8:2::9";

using FirewallTest = NatTest;

TEST_F(FirewallTest, PublicServersSeeTheHostsAddress) {
  const Fd box = sandbox(tenant(0));
  EXPECT_EQ(ask(box.get(), kPublic4, World::kWeb), kHost4);
  EXPECT_EQ(ask(box.get(), kPublic6, World::kWeb), kHost6);
  EXPECT_EQ(ask(box.get(), kPublic4, World::kDns, Transport::kUdp), kHost4);
  EXPECT_EQ(ask(box.get(), kPublic6, World::kDns, Transport::kUdp), kHost6);
}

TEST_F(FirewallTest, WhoWasNotAdmittedReachesNothing) {
  const Fd netns = make_namespace();
  plug(netns.get(), tenant(0));
  Sniffer at_world(world_->outside());
  EXPECT_EQ(ask(netns.get(), kPublic4, World::kWeb), kDenied);
  EXPECT_EQ(ask(netns.get(), kPublic6, World::kWeb), kDenied);
  EXPECT_EQ(ask(netns.get(), "10.231.0.1", World::kWeb), kDenied);
}

/// Each is reachable from the host, which is the control, and from no sandbox.
class NeverTest : public NatTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(NeverTest, EvenIfAllowed) {
  Egress everything;
  everything.allowed = {to_v4("0.0.0.0/0"), to_v6("::/0")};
  const Fd box = sandbox(tenant(0), everything);
  EXPECT_NE(ask(world_->host(), GetParam(), World::kWeb), kDenied) << "the control";
  EXPECT_EQ(ask(box.get(), GetParam(), World::kWeb), kDenied);
  EXPECT_EQ(ask(box.get(), GetParam(), World::kDns, Transport::kUdp), kDenied);
}

INSTANTIATE_TEST_SUITE_P(Addresses, NeverTest,
                         ::testing::Values("10.231.0.1", "fd53:1::1",        // the gateway
                                           "198.51.100.1", "2001:db8:1::1",  // the host
                                           "169.254.169.254", "100.100.100.200", "fd00:ec2::254"));

class PrivateTest : public NatTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(PrivateTest, OnlyIfAllowed) {
  const Fd confined = sandbox(tenant(0));
  EXPECT_NE(ask(world_->host(), GetParam(), World::kWeb), kDenied) << "the control";
  EXPECT_EQ(ask(confined.get(), GetParam(), World::kWeb), kDenied);
  Egress egress;
  egress.allowed = {to_v4("10.0.0.0/8"), to_v4("192.168.7.0/24"), to_v4("100.64.0.0/10"),
                    to_v6("fd99::/16")};
  const Fd allowed = sandbox(tenant(1), egress);
  const bool ipv4 = std::string_view(GetParam()).find('.') != std::string_view::npos;
  EXPECT_EQ(ask(allowed.get(), GetParam(), World::kWeb), ipv4 ? kHost4 : kHost6);
}

INSTANTIATE_TEST_SUITE_P(Addresses, PrivateTest,
                         ::testing::Values("10.9.0.1", "192.168.7.1", "100.64.3.3", "fd99::1"));

TEST_F(FirewallTest, AllowsByNetworkProtocolAndPort) {
  Egress egress;
  egress.internet = false;
  egress.allowed = {to_v4("203.0.113.0/24", Protocol::kTcp, {{80, 80}, {8000, 8010}}),
                    to_v4("10.9.0.0/16", Protocol::kUdp), to_v6("2001:db8:2::/48", Protocol::kTcp)};
  const Fd box = sandbox(tenant(0), egress);
  EXPECT_EQ(ask(box.get(), kPublic4, World::kWeb), kHost4);
  EXPECT_EQ(ask(box.get(), kPublic4, World::kOther), kDenied) << "8080 is not in 8000-8010";
  EXPECT_EQ(ask(box.get(), kPublic4, World::kWeb, Transport::kUdp), kDenied);
  EXPECT_EQ(ask(box.get(), "198.51.100.2", World::kWeb), kDenied) << "another network";
  EXPECT_EQ(ask(box.get(), "10.9.0.1", World::kDns, Transport::kUdp), kHost4);
  EXPECT_EQ(ask(box.get(), "10.9.0.1", World::kDns), kDenied);
  EXPECT_EQ(ask(box.get(), kPublic6, World::kOther), kHost6);
  EXPECT_EQ(ask(box.get(), "2001:db8:1::2", World::kWeb), kDenied);
}

TEST_F(FirewallTest, ListsBelongToTheirSandboxAlone) {
  Egress generous;
  generous.allowed = {to_v4("10.9.0.0/16")};
  const Fd one = sandbox(tenant(0), generous);
  const Fd two = sandbox(tenant(1));
  EXPECT_EQ(ask(one.get(), "10.9.0.1", World::kWeb), kHost4);
  EXPECT_EQ(ask(two.get(), "10.9.0.1", World::kWeb), kDenied);
}

TEST_F(FirewallTest, SandboxesDoNotReachEachOther) {
  Egress everything;
  everything.allowed = {to_v4("0.0.0.0/0"), to_v6("::/0")};
  const Fd one = sandbox(tenant(0), everything);
  const Fd two = sandbox(tenant(1), everything);
  const testing::Servers servers(two.get(), {World::kWeb});
  EXPECT_EQ(ask(two.get(), "10.231.0.3", World::kWeb), "10.231.0.3") << "the control";
  EXPECT_EQ(ask(one.get(), "10.231.0.3", World::kWeb), kDenied);
  EXPECT_EQ(ask(one.get(), "fd53:1::3", World::kWeb), kDenied);
  EXPECT_EQ(ask(one.get(), "10.231.0.3", World::kWeb, Transport::kUdp), kDenied);
  // Straight to the other's MAC address, past the gateway.
  Sniffer at_two(two.get());
  send_frame(one.get(), plan_.sandbox(1).mac, plan_.sandbox(0).mac, ETHERTYPE_IP,
             udp_packet("10.231.0.2", "10.231.0.3", "past the gateway"));
  EXPECT_FALSE(at_two.saw("past the gateway"));
}

TEST_F(FirewallTest, NobodyReachesIntoASandbox) {
  const Fd box = sandbox(tenant(0));
  const testing::Servers servers(box.get(), {World::kWeb});
  auto world = testing::route_of(world_->outside());
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_dst_len = 16;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  RouteRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
  request.put(RTA_DST, boost::asio::ip::make_address("10.231.0.0"));
  request.put(RTA_GATEWAY, boost::asio::ip::make_address(kHost4));
  must(world.ask(request, "add route", "to the sandboxes"));
  Sniffer at_box(box.get());
  EXPECT_EQ(ask(world_->outside(), "10.231.0.2", World::kWeb), kDenied);
  EXPECT_EQ(ask(world_->host(), "10.231.0.2", World::kWeb), kDenied) << "nor does the host";
}

TEST_F(FirewallTest, SpoofedSourcesAreDropped) {
  const Fd box = sandbox(tenant(0));
  const Fd victim = sandbox(tenant(1));
  Sniffer at_world(world_->outside());
  const auto send = [&](const MacAddress& mac, const char* from, const char* text) {
    send_frame(box.get(), plan_.gateway().mac, mac, ETHERTYPE_IP, udp_packet(from, kPublic4, text));
  };
  const auto own = plan_.sandbox(0).mac;
  send(own, "10.231.0.2", "my own address");
  EXPECT_TRUE(at_world.saw("my own address")) << "the control";
  send(own, "10.231.0.3", "my neighbour's address");
  EXPECT_FALSE(at_world.saw("my neighbour's address"));
  send(own, "10.231.0.1", "the gateway's address");
  EXPECT_FALSE(at_world.saw("the gateway's address"));
  send(own, "203.0.113.77", "a foreign address");
  EXPECT_FALSE(at_world.saw("a foreign address"));
  send(plan_.sandbox(1).mac, "10.231.0.3", "my neighbour altogether");
  EXPECT_FALSE(at_world.saw("my neighbour altogether"));
}

TEST_F(FirewallTest, NothingLeavesUntranslated) {
  const Fd box = sandbox(tenant(0));
  Sniffer at_world(world_->outside());
  auto packet = udp_packet("10.231.0.2", kPublic4, "a datagram that lies about its length");
  packet[24] = '\x7f';  // the kernel cannot place it in a connection, and so does not translate it
  send_frame(box.get(), plan_.gateway().mac, plan_.sandbox(0).mac, ETHERTYPE_IP, packet);
  EXPECT_FALSE(at_world.saw("lies about its length"));
}

TEST_F(FirewallTest, NothingButIpPassesAPort) {
  const Fd box = sandbox(tenant(0));
  const Fd netns = make_namespace();
  Sniffer at_bridge(world_->host());
  // The sniffer sees frames on the port before the filter, and on the bridge only behind it.
  const auto arp = std::string("\0\1\10\0\6\4\0\2", 8) + "I am the gateway, believe me";
  send_frame(box.get(), plan_.gateway().mac, plan_.sandbox(0).mac, ETHERTYPE_ARP, arp);
  EXPECT_TRUE(at_bridge.saw("I am the gateway")) << "on the port";
  EXPECT_FALSE(at_bridge.saw("I am the gateway")) << "on the bridge";
}

TEST_F(FirewallTest, TheNextOwnerOfAnAddressInheritsNoConnection) {
  // The same ports, so that to the kernel it is the same connection in all but its turn.
  constexpr std::uint16_t kPort = 33'333;
  const Fd first = sandbox(tenant(0, 1));
  EXPECT_EQ(ask(first.get(), kPublic4, World::kDns, Transport::kUdp, kPort), kHost4);
  must(firewall_->dismiss(tenant(0, 1)));
  EXPECT_EQ(ask(first.get(), kPublic4, World::kDns, Transport::kUdp, kPort), kDenied)
      << "an established connection ends with its owner";
  unplug(tenant(0, 1));
  Egress nothing;
  nothing.internet = false;
  const Fd second = sandbox(tenant(0, 2), nothing);
  EXPECT_EQ(ask(second.get(), kPublic4, World::kDns, Transport::kUdp, kPort), kDenied);
  must(firewall_->dismiss(tenant(0, 2)));
  unplug(tenant(0, 2));
  // What still comes for the first owner's connection is not given to the third, who has one of
  // its own between the same ports.
  const Fd third = sandbox(tenant(0, 3));
  Sniffer at_third(third.get());
  testing::inside(world_->outside(), [&] {
    testing::send_datagram(kPublic4, World::kDns, kHost4, kPort, "for the first owner");
  });
  EXPECT_FALSE(at_third.saw("for the first owner"));
  EXPECT_EQ(ask(third.get(), kPublic4, World::kDns, Transport::kUdp, kPort), kHost4);
}

TEST_F(FirewallTest, ConnectionsOfASandboxAreBounded) {
  const Fd greedy = sandbox(tenant(0));
  const Fd modest = sandbox(tenant(1));
  int answered = 0;
  for (std::uint16_t i = 0; i < 12; ++i) {
    const auto port = static_cast<std::uint16_t>(20'000 + i);
    answered += ask(greedy.get(), kPublic4, World::kDns, Transport::kUdp, port) == kHost4 ? 1 : 0;
  }
  EXPECT_EQ(answered, 8);
  EXPECT_EQ(ask(modest.get(), kPublic4, World::kDns, Transport::kUdp), kHost4);
}

TEST_F(FirewallTest, RefusesContradictoryLists) {
  const auto refused = [&](Destination destination) {
    Egress egress;
    egress.allowed = {std::move(destination)};
    const auto admitted = firewall_->admit(tenant(0), egress);
    return !admitted && admitted.error().code == Code::kInvalid;
  };
  EXPECT_TRUE(refused(to_v4("10.0.0.0/8", Protocol::kAny, {{80, 80}})));
  EXPECT_TRUE(refused(to_v4("10.0.0.0/8", Protocol::kTcp, {{80, 79}})));
  EXPECT_TRUE(refused(to_v4("10.0.0.0/8", Protocol::kTcp, std::vector<PortRange>(65, {80, 80}))));
  EXPECT_FALSE(refused(to_v4("10.0.0.0/8", Protocol::kTcp, std::vector<PortRange>(64, {80, 80}))));
}

TEST_F(FirewallTest, AFailedAdmissionChangesNothing) {
  must(firewall_->admit(tenant(0), {}));
  const auto before = ruleset();
  Egress other;
  other.allowed = {to_v4("10.0.0.0/8")};
  // The same address for another port: its element exists with another value.
  auto twin = tenant(1);
  twin.end = tenant(0).end;
  twin.slot.turn = 7;
  EXPECT_FALSE(firewall_->admit(twin, other));
  EXPECT_EQ(ruleset(), before);
}

TEST_F(FirewallTest, RemovalLeavesTheHostAsItWas) {
  {
    const Fd one = sandbox(tenant(0));
    const Fd two = sandbox(tenant(1));
    EXPECT_EQ(ask(one.get(), kPublic4, World::kWeb), kHost4);
  }
  remove_everything();
  EXPECT_EQ(state(), before_);
}

TEST_F(FirewallTest, WhatACrashLeftIsReplacedAndForeignTablesAreNot) {
  auto nftables = Nftables::open();
  ASSERT_TRUE(nftables);
  must(nftables->run("add table inet sock-test2\nadd table ip sock-test\n", "foreign tables"));
  const Fd old = sandbox(tenant(5));
  // A new instance of the same name, which knows nothing of the old one.
  remove_everything();
  start();
  EXPECT_EQ(ask(old.get(), kPublic4, World::kWeb), kDenied);
  const Fd fresh = sandbox(tenant(5));
  EXPECT_EQ(ask(fresh.get(), kPublic4, World::kWeb), kHost4);
  remove_everything();
  EXPECT_NE(ruleset().find("table inet sock-test2"), std::string::npos);
  EXPECT_NE(ruleset().find("table ip sock-test"), std::string::npos);
}

}  // namespace
}  // namespace sock::netns
