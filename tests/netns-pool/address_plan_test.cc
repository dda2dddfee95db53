#include "netns-pool/address_plan.h"

#include <gtest/gtest.h>

#include "netns-pool/instance_name.h"

namespace sock::netns {
namespace {

using boost::asio::ip::make_network_v4;
using boost::asio::ip::make_network_v6;

TEST(AddressPlan, GivesTheSamePlaceInBothPrefixes) {
  const auto plan =
      AddressPlan::create(make_network_v4("10.231.0.0/16"), make_network_v6("fd53:1::/64"));
  ASSERT_TRUE(plan) << plan.error().describe();
  EXPECT_EQ(plan->gateway().ipv4.to_string(), "10.231.0.1");
  EXPECT_EQ(plan->gateway().ipv6->to_string(), "fd53:1::1");
  EXPECT_EQ(plan->sandbox(0).ipv4.to_string(), "10.231.0.2");
  EXPECT_EQ(plan->sandbox(300).ipv4.to_string(), "10.231.1.46");
  EXPECT_EQ(plan->sandbox(300).ipv6->to_string(), "fd53:1::12e");
  EXPECT_EQ(plan->sandbox(300).mac, (MacAddress{0x02, 0x73, 10, 231, 1, 46}));
}

TEST(AddressPlan, LeavesOutNetworkGatewayAndBroadcast) {
  const auto smallest = AddressPlan::create(make_network_v4("192.168.9.8/29"), std::nullopt);
  ASSERT_TRUE(smallest);
  EXPECT_EQ(smallest->slots(), 5);
  EXPECT_EQ(smallest->sandbox(4).ipv4.to_string(), "192.168.9.14");
  EXPECT_FALSE(smallest->sandbox(4).ipv6);
  const auto largest = AddressPlan::create(make_network_v4("10.231.0.0/16"), std::nullopt);
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->slots(), 65'533);
  EXPECT_EQ(largest->sandbox(65'532).ipv4.to_string(), "10.231.255.254");
}

TEST(AddressPlan, RefusesPrefixesItCannotUse) {
  for (const char* bad :
       {"10.0.0.0/15", "10.231.0.0/30", "10.231.0.1/16", "224.1.0.0/16", "127.0.0.0/16"}) {
    const auto plan = AddressPlan::create(make_network_v4(bad), std::nullopt);
    ASSERT_FALSE(plan) << bad;
    EXPECT_EQ(plan.error().code, Code::kInvalid);
  }
  for (const char* bad : {"fd53::/48", "fd53::/120", "fd53::1/64", "ff05::/64", "fe80::/64"}) {
    const auto plan = AddressPlan::create(make_network_v4("10.231.0.0/16"), make_network_v6(bad));
    ASSERT_FALSE(plan) << bad;
    EXPECT_EQ(plan.error().code, Code::kInvalid);
  }
}

TEST(InstanceName, FitsIntoTheNameOfALink) {
  const auto name = InstanceName::parse("abcdefg");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->port(0xfff1), "sk-abcdefg-fff1");
  EXPECT_EQ(name->port(0xfff1).size(), 15U);
  for (const char* bad : {"", "abcdefgh", "a-b", "A", "a b", "a\"", "a.b"}) {
    EXPECT_FALSE(InstanceName::parse(bad)) << bad;
  }
}

TEST(InstanceName, SharesNoNameWithAnother) {
  const auto one = InstanceName::parse("a").value();
  const auto two = InstanceName::parse("a1").value();
  EXPECT_FALSE(two.port(0).starts_with(one.port_prefix()));
  EXPECT_FALSE(two.bridge().starts_with(one.port_prefix()));
}

}  // namespace
}  // namespace sock::netns
