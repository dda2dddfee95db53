// The whole way, as sockd goes it: namespaces of the sandboxes' user namespace from the pool, given
// a link and rules, used, taken back.
#include "netns-pool/nat_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "netns-pool/netns_builder.h"
#include "netns-pool/netns_pool.h"
#include "netns-pool/nftables.h"
#include "tests/netns-pool/holder_fixture.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns {
namespace {

using boost::asio::ip::make_network_v4;
using boost::asio::ip::make_network_v6;
using testing::ask;
using testing::helper_path;
using testing::Loop;
using testing::World;

using Fate = NatNetwork::Fate;

constexpr const char* kPublic4 = "203.0.113.9";
constexpr const char* kPublic6 = "2001:db8:2::9";

/// What is in the caller's namespace beside loopback.
std::string verdict() {
  const auto verified = NetnsBuilder::verify();
  return verified ? "" : verified.error().detail;
}

class NatNetworkTest : public testing::HolderTest {
 protected:
  void SetUp() override {
    HolderTest::SetUp();
    if (IsSkipped()) return;
    world_ = std::make_unique<World>();
    before_ = state();
  }

  void start() {
    auto nat = NatNetwork::start(options_);
    ASSERT_TRUE(nat) << nat.error().describe();
    nat_ = std::move(*nat);
  }

  void fill_pool(Furnish furnish = Furnish::kRoutable) {
    PoolOptions options;
    options.low = 4;
    options.high = 8;
    options.helper = helper_path();
    options.user_namespace = holder_.pidfd();
    options.furnish = furnish;
    auto pool = loop_.run(NetnsPool::start(options));
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  Netns lease() { return testing::lease(loop_, *pool_); }

  Result<Tenant> plug(Netns& netns) { return nat_->plug(netns.fd(), *netns.route()); }

  /// Plugged and admitted.
  Result<Tenant> attach(Netns& netns, const Egress& egress) {
    auto tenant = plug(netns);
    if (!tenant) return tenant;
    if (auto admitted = nat_->admit(*tenant, egress); !admitted) {
      return std::unexpected(admitted.error());
    }
    return tenant;
  }

  [[nodiscard]] std::string state() const { return world_->state_of_host() + testing::ruleset(); }

  void remove() {
    const auto removed = NatNetwork::remove(options_.name);
    ASSERT_TRUE(removed) << removed.error().describe();
  }

  NatOptions options_{InstanceName::parse("test").value(), make_network_v4("10.231.0.0/16"),
                      make_network_v6("fd53:1::/64")};
  std::unique_ptr<World> world_;
  std::string before_;
  std::unique_ptr<NatNetwork> nat_;
  Loop loop_;
  std::unique_ptr<NetnsPool> pool_;
};

TEST_F(NatNetworkTest, TakesSandboxesToTheNetworkAndBack) {
  start();
  fill_pool();
  Netns netns = lease();
  auto tenant = attach(netns, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(nat_->plugged(), 1U);
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kWeb), "2001:db8:1::1");
  const auto back = nat_->unplug(*tenant, Fate::kKept);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(nat_->plugged(), 0U);
  EXPECT_EQ(testing::complaint_inside(netns.fd(), verdict), "") << "it is not as it was";
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "denied");
  EXPECT_TRUE(attach(netns, {})) << "it may be plugged again";
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
  remove();
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, EachAdmissionStartsFromNothing) {
  // The same ports each time, so that to the kernel it is the same connection in all but its turn.
  constexpr std::uint16_t kPort = 33'333;
  const auto reached = [&](const Netns& netns) {
    return ask(netns.fd(), kPublic4, World::kDns, testing::Transport::kUdp, kPort);
  };
  start();
  fill_pool();
  Netns netns = lease();
  auto tenant = plug(netns);
  ASSERT_TRUE(tenant) << tenant.error().describe();
  const auto closed = state();
  EXPECT_EQ(reached(netns), "denied") << "not admitted";
  ASSERT_TRUE(nat_->admit(*tenant, {}));
  EXPECT_EQ(reached(netns), "198.51.100.1");
  ASSERT_TRUE(nat_->dismiss(*tenant));
  EXPECT_EQ(state(), closed);
  EXPECT_EQ(reached(netns), "denied") << "an established connection ends";
  Egress elsewhere;
  elsewhere.internet = false;
  elsewhere.allowed = {{make_network_v4("10.9.0.0/16"), Protocol::kAny, {}}};
  ASSERT_TRUE(nat_->admit(*tenant, elsewhere));
  EXPECT_EQ(reached(netns), "denied") << "the connection is remembered";
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kWeb), "198.51.100.1");
  ASSERT_TRUE(nat_->dismiss(*tenant));
  ASSERT_TRUE(nat_->admit(*tenant, {}));
  testing::Sniffer inside(netns.fd());
  testing::inside(world_->outside(), [&] {
    testing::send_datagram(kPublic4, World::kDns, "198.51.100.1", kPort, "for the first turn");
  });
  EXPECT_FALSE(inside.saw("for the first turn"));
  EXPECT_EQ(reached(netns), "198.51.100.1");
}

TEST_F(NatNetworkTest, ResolversAreReachedWhateverElseIs) {
  options_.resolvers = {boost::asio::ip::make_address("10.9.0.1"),
                        boost::asio::ip::make_address("2001:db8:2::9")};
  start();
  fill_pool();
  Egress nothing;
  nothing.internet = false;
  Netns netns = lease();
  auto tenant = plug(netns);
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kDns), "denied") << "not admitted";
  ASSERT_TRUE(nat_->admit(*tenant, nothing));
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kDns), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kDns, testing::Transport::kUdp), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kDns), "2001:db8:1::1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kDns, testing::Transport::kUdp), "2001:db8:1::1");
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kWeb), "denied");
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kDns), "denied") << "is no resolver";
  ASSERT_TRUE(nat_->dismiss(*tenant));
  Egress longest;
  const std::vector<PortRange> ports(Egress::kMostRules, {80, 80});
  longest.allowed = {{make_network_v4("10.0.0.0/8"), Protocol::kTcp, ports}};
  EXPECT_TRUE(nat_->admit(*tenant, longest)) << "they do not count";
}

TEST_F(NatNetworkTest, ResolversThatNothingCanAllowAreRefused) {
  for (const auto* text :
       {"127.0.0.53", "::1", "169.254.169.254", "100.100.100.200", "fe80::1", "fd00:ec2::254",
        "::ffff:10.9.0.1", "224.0.0.1", "0.0.0.0", "198.51.100.1", "2001:db8:1::1", "10.231.0.1",
        "10.231.7.7", "fd53:1::7"}) {
    options_.resolvers = {boost::asio::ip::make_address(text)};
    const auto started = NatNetwork::start(options_);
    ASSERT_FALSE(started) << text;
    EXPECT_EQ(started.error().code, Code::kInvalid) << text;
    EXPECT_NE(started.error().describe().find(text), std::string::npos)
        << started.error().describe();
  }
  options_.ipv6.reset();
  options_.resolvers = {boost::asio::ip::make_address(kPublic6)};
  EXPECT_FALSE(NatNetwork::start(options_)) << "sandboxes have no IPv6";
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, OneOfManyChangesFailsAlone) {
  start();
  fill_pool();
  std::vector<Netns> boxes;
  std::vector<Tenant> tenants;
  for (int i = 0; i < 4; ++i) {
    boxes.push_back(lease());
    auto tenant = plug(boxes.back());
    ASSERT_TRUE(tenant) << tenant.error().describe();
    tenants.push_back(*tenant);
  }
  ASSERT_TRUE(nat_->admit(tenants[0], {}));
  ASSERT_TRUE(nat_->admit(tenants[1], {}));
  // The kernel will refuse this one's end; another's list contradicts itself.
  auto nftables = Nftables::open();
  ASSERT_TRUE(nftables);
  ASSERT_TRUE(nftables->run("delete element inet sock-test zones4 { 10.231.0.2 }\n", "sabotage"));
  const Egress fine;
  Egress contradictory;
  contradictory.allowed = {{make_network_v4("10.0.0.0/8"), Protocol::kTcp, {{2, 1}}}};
  const std::vector<NatNetwork::Change> changes{{&tenants[0], nullptr},
                                                {&tenants[1], nullptr},
                                                {&tenants[2], &contradictory},
                                                {&tenants[3], &fine}};
  const auto results = nat_->apply(changes);
  ASSERT_EQ(results.size(), 4U);
  EXPECT_FALSE(results[0]);
  EXPECT_TRUE(results[1]) << results[1].error().describe();
  ASSERT_FALSE(results[2]);
  EXPECT_EQ(results[2].error().code, Code::kInvalid);
  EXPECT_TRUE(results[3]) << results[3].error().describe();
  EXPECT_EQ(ask(boxes[1].fd(), kPublic4, World::kWeb), "denied");
  EXPECT_EQ(ask(boxes[3].fd(), kPublic4, World::kWeb), "198.51.100.1");
  // Whose end fails keeps its rules, but not its link, and nobody gets its address.
  EXPECT_FALSE(nat_->unplug(tenants[0], Fate::kDestroyed));
  EXPECT_EQ(ask(boxes[0].fd(), kPublic6, World::kWeb), "denied");
  EXPECT_EQ(nat_->plugged(), 4U);
}

TEST_F(NatNetworkTest, WorksWithoutIpv6) {
  options_.ipv6.reset();
  start();
  fill_pool();
  Netns netns = lease();
  auto tenant = attach(netns, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kWeb), "denied");
}

TEST_F(NatNetworkTest, ANamespaceMayBeDeadBeforeItIsUnplugged) {
  start();
  fill_pool();
  auto watch = testing::DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  std::vector<Tenant> tenants;
  {
    Netns netns = lease();
    ASSERT_TRUE(watch->watch(netns.fd()));
    auto tenant = attach(netns, {});
    ASSERT_TRUE(tenant) << tenant.error().describe();
    tenants.push_back(*tenant);
  }
  ASSERT_EQ(watch->alive(testing::kPatience).value_or(99), 0U);
  const auto back = nat_->unplug(tenants.front(), Fate::kDestroyed);
  EXPECT_TRUE(back) << back.error().describe();
  remove();
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, RefusesWhatItCannotDoAndLeavesNothing) {
  start();
  fill_pool();
  Netns netns = lease();
  auto tenant = plug(netns);
  ASSERT_TRUE(tenant) << tenant.error().describe();
  auto before = state();
  EXPECT_FALSE(plug(netns)) << "a second link for the same namespace";
  EXPECT_EQ(nat_->plugged(), 1U);
  Egress contradictory;
  contradictory.allowed = {{make_network_v4("10.0.0.0/8"), Protocol::kTcp, {{2, 1}}}};
  const auto refused = nat_->admit(*tenant, contradictory);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_TRUE(nat_->dismiss(*tenant)) << "nothing was admitted";
  EXPECT_EQ(state(), before);
  ASSERT_TRUE(nat_->admit(*tenant, {}));
  before = state();
  const auto twice = nat_->admit(*tenant, {});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::kInvalid);
  EXPECT_EQ(state(), before);
}

TEST_F(NatNetworkTest, SaysWhichSettingIsMissing) {
  testing::inside(testing::make_namespace().get(), [&] {
    const auto started = NatNetwork::start(options_);
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, Code::kInvalid);
    EXPECT_NE(started.error().describe().find("sysctl -w net.ipv4.ip_forward=1"), std::string::npos)
        << started.error().describe();
  });
}

TEST_F(NatNetworkTest, StartsOverWhatACrashLeft) {
  start();
  fill_pool();
  Netns orphan = lease();
  ASSERT_TRUE(attach(orphan, {}));
  nat_.reset();  // forgets everything and removes nothing, as a crash does
  EXPECT_EQ(ask(orphan.fd(), kPublic4, World::kWeb), "198.51.100.1") << "the control";
  start();
  EXPECT_EQ(ask(orphan.fd(), kPublic4, World::kWeb), "denied");
  Netns fresh = lease();
  ASSERT_TRUE(attach(fresh, {}));
  EXPECT_EQ(ask(fresh.fd(), kPublic4, World::kWeb), "198.51.100.1");
  remove();
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, APortThatADyingNamespaceStillHasIsReplaced) {
  options_.ipv4 = make_network_v4("10.231.0.0/29");  // five places
  options_.quarantine = Millis{5000};
  start();
  fill_pool();
  std::vector<Netns> dying;
  for (int i = 0; i < 5; ++i) {
    dying.push_back(lease());
    auto tenant = attach(dying.back(), {});
    ASSERT_TRUE(tenant) << tenant.error().describe();
    ASSERT_TRUE(nat_->unplug(*tenant, Fate::kDestroyed));
    EXPECT_EQ(ask(dying.back().fd(), kPublic4, World::kWeb), "denied") << "nothing passes already";
  }
  Netns next = lease();
  const auto refused = plug(next);
  ASSERT_FALSE(refused) << "all places are in quarantine";
  EXPECT_EQ(refused.error().code, Code::kRejected);
  std::this_thread::sleep_for(options_.quarantine);
  auto tenant = attach(next, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(ask(next.fd(), kPublic4, World::kWeb), "198.51.100.1");
}

struct Costs {
  std::vector<std::int64_t> attach_us;
  std::vector<std::int64_t> unplug_us;

  void print(const char* what) {
    for (auto* times : {&attach_us, &unplug_us}) {
      std::sort(times->begin(), times->end());
      std::cout << what << (times == &attach_us ? ", attach: p50 " : ", unplug: p50 ")
                << (*times)[times->size() / 2] << " us, p99 " << (*times)[times->size() * 99 / 100]
                << " us\n";
    }
  }
};

/// Two hundred sandboxes one after the other, and what they cost.
class CyclesTest : public NatNetworkTest, public ::testing::WithParamInterface<Fate> {};

TEST_P(CyclesTest, LeaveNothingBehind) {
  constexpr int kCycles = 200;
  const char* const name = GetParam() == Fate::kKept ? "kept" : "destroyed";
  start();
  fill_pool();
  Egress egress;
  egress.allowed = {{make_network_v4("10.9.0.0/16"), Protocol::kTcp, {{443, 443}, {80, 80}}}};
  auto watch = testing::DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  Costs costs;
  const auto cycle = [&] {
    Netns netns = lease();
    ASSERT_TRUE(watch->watch(netns.fd()));
    const auto begin = Clock::now();
    auto tenant = attach(netns, egress);
    const auto attached = Clock::now();
    ASSERT_TRUE(tenant) << tenant.error().describe();
    // At once: the link must pass packets when plug() returns.
    ASSERT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
    const auto used = Clock::now();
    const auto back = nat_->unplug(*tenant, GetParam());
    ASSERT_TRUE(back) << back.error().describe();
    costs.attach_us.push_back(micros_between(begin, attached));
    costs.unplug_us.push_back(micros_between(used, Clock::now()));
  };
  const auto between = state();
  for (int i = 0; i < kCycles; ++i) ASSERT_NO_FATAL_FAILURE(cycle());
  EXPECT_EQ(watch->alive(testing::kPatience).value_or(99), 0U) << "namespaces were kept alive";
  // The kernel tells of a namespace's end before it takes its links away.
  const auto deadline = Clock::now() + testing::kPatience;
  while (state() != between && Clock::now() < deadline) std::this_thread::yield();
  EXPECT_EQ(state(), between);
  remove();
  EXPECT_EQ(state(), before_);
  costs.print(name);
}

INSTANTIATE_TEST_SUITE_P(Fates, CyclesTest, ::testing::Values(Fate::kKept, Fate::kDestroyed),
                         [](const auto& fate) {
                           return fate.param == Fate::kKept ? "Kept" : "Destroyed";
                         });

}  // namespace
}  // namespace sock::netns
