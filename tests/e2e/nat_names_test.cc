/// Names: looked up by functions on the network class "nat" with the resolver they were given.

#include <string>

#include "tests/e2e/nat_suite.h"

namespace sock::e2e {
namespace {

class NatNames : public NatSuite<BareNat> {};

TEST_F(NatNames, AreFound) {
  ASSERT_DEPLOYED(deploy("t"));
  const auto expect = [&](const char* name, const char* addresses) {
    EXPECT_EQ(boost::json::serialize(eval("t", "addresses_of('" + std::string(name) + "')")),
              addresses);
  };
  expect("server.test", R"(["2001:db8:2::9","203.0.113.9"])");
  expect("four.test", R"(["203.0.113.9"])");
  expect("nowhere.test", R"(["EAI_NONAME"])");
}

TEST_F(NatNames, LongAnswersComeOverTcp) {
  ASSERT_DEPLOYED(deploy("t"));
  EXPECT_EQ(eval("t", "addresses_of('big.test')").as_array().size(), 60U);
}

TEST_F(NatNames, LeadToServers) {
  ASSERT_DEPLOYED(deploy("t"));
  EXPECT_EQ(eval("t", "fetch('http://four.test:8000/')"), "served");
  EXPECT_EQ(eval("t", "fetch('http://server.test:8000/')"), "served");
}

TEST_F(NatNames, TheResolverIsReachedWhateverTheListSays) {
  ASSERT_DEPLOYED(deploy("t", R"({"network":"nat","allow":["10.9.0.1:80"]})"));
  EXPECT_EQ(boost::json::serialize(eval("t", "addresses_of('four.test')")), R"(["203.0.113.9"])");
  EXPECT_EQ(eval("t", "addresses_of('big.test')").as_array().size(), 60U);
  // As a resolver only.
  const auto found = eval("t", "probe('tcp 203.0.113.9 80','udp 203.0.113.9 80')");
  for (const auto& [target, answer] : found.as_object()) {
    EXPECT_TRUE(denied(answer)) << target << ": " << answer;
  }
}

TEST_F(NatNames, TheFileSaysWhatWasConfigured) {
  ASSERT_DEPLOYED(deploy("t"));
  const std::string text(eval("t", "contents('/etc/resolv.conf')").as_string());
  EXPECT_TRUE(text.contains("nameserver 203.0.113.9\n")) << text;
  EXPECT_EQ(text.find("nameserver"), text.rfind("nameserver")) << text;
}

TEST_F(NatNames, AreNotFoundWithoutANetworkAndAtOnce) {
  ASSERT_DEPLOYED(deploy("t", R"({"network":"none"})"));
  const auto timed = eval("t", "timed(addresses_of, 'server.test')");
  EXPECT_EQ(timed.at(0).at(0), "EAI_AGAIN");
  EXPECT_LT(timed.at(1).to_number<double>(), 1.0);
  EXPECT_EQ(eval("t", "contents('/etc/resolv.conf')"), "");
}

}  // namespace
}  // namespace sock::e2e
