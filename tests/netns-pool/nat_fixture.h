#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "netns-pool/address_plan.h"
#include "netns-pool/bridge.h"
#include "netns-pool/firewall.h"
#include "netns-pool/sandbox_link.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns::testing {

/// A world with a bridge and a firewall in its host.
class NatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    world_ = std::make_unique<World>();
    before_ = state();
    host_ = std::make_unique<Rtnetlink>(route_of(world_->host()));
    start();
  }

  void start() {
    auto bridge = Bridge::create(*host_, name_, plan_);
    ASSERT_TRUE(bridge) << bridge.error().describe();
    bridge_ = *bridge;
    auto firewall = Firewall::install(name_, plan_, 8);
    ASSERT_TRUE(firewall) << firewall.error().describe();
    firewall_ = std::make_unique<Firewall>(std::move(*firewall));
  }

  void remove_everything() {
    auto nftables = Nftables::open();
    ASSERT_TRUE(nftables);
    must(Firewall::remove(*nftables, name_));
    must(remove_links(*host_, name_));
  }

  static void must(const Result<>& done) { ASSERT_TRUE(done) << done.error().describe(); }

  [[nodiscard]] Tenant tenant(std::uint16_t number, std::uint16_t turn = 1) const {
    return {{number, turn}, plan_.sandbox(number)};
  }

  void plug(int netns, const Tenant& tenant) {
    auto inside = route_of(netns);
    must(SandboxLink::plug(*host_, inside, netns, bridge_, name_.port(tenant.slot.number),
                           tenant.end));
  }

  void unplug(const Tenant& tenant) {
    must(SandboxLink::unplug(*host_, bridge_, name_.port(tenant.slot.number), tenant.end));
  }

  Fd sandbox(const Tenant& tenant, const Egress& egress = {}) {
    Fd netns = make_namespace();
    plug(netns.get(), tenant);
    must(firewall_->admit(tenant, egress));
    return netns;
  }

  /// Everything configured in the host: links, addresses, routes, neighbours, rules.
  [[nodiscard]] std::string state() const { return world_->state_of_host() + ruleset(); }

  InstanceName name_ = InstanceName::parse("test").value();
  AddressPlan plan_ = address_plan();
  std::unique_ptr<World> world_;
  std::string before_;
  std::unique_ptr<Rtnetlink> host_;
  Bridge bridge_;
  std::unique_ptr<Firewall> firewall_;
};

[[nodiscard]] inline Destination to_v4(const char* network, Protocol protocol = Protocol::kAny,
                                       std::vector<PortRange> ports = {}) {
  return {boost::asio::ip::make_network_v4(network), protocol, std::move(ports)};
}

[[nodiscard]] inline Destination to_v6(const char* network, Protocol protocol = Protocol::kAny,
                                       std::vector<PortRange> ports = {}) {
  return {boost::asio::ip::make_network_v6(network), protocol, std::move(ports)};
}

}  // namespace sock::netns::testing
