// The whole way, as sockd goes it: namespaces of the sandboxes' user namespace from the pool, given
// a link and rules, used, taken back.
#include "netns-pool/nat_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <thread>

#include "netns-pool/netns_builder.h"
#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns {
namespace {

using boost::asio::ip::make_network_v4;
using boost::asio::ip::make_network_v6;
using testing::ask;
using testing::helper_path;
using testing::hold_user_namespace;
using testing::Loop;
using testing::missing_rights;
using testing::World;

using Fate = NatNetwork::Fate;

constexpr const char* kPublic4 = "203.0.113.9";
constexpr const char* kPublic6 = "2001:db8:2::9";

/// What is in the caller's namespace beside loopback.
std::string verdict() {
  const auto verified = NetnsBuilder::verify();
  return verified ? "" : verified.error().detail;
}

class NatNetworkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    auto holder = hold_user_namespace();
    if (!holder) GTEST_SKIP() << holder.error().describe();
    holder_ = std::move(*holder);
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

  [[nodiscard]] std::string state() const { return world_->state_of_host() + testing::ruleset(); }

  void remove() {
    const auto removed = NatNetwork::remove(options_.name);
    ASSERT_TRUE(removed) << removed.error().describe();
  }

  NatOptions options_{InstanceName::parse("test").value(), make_network_v4("10.231.0.0/16"),
                      make_network_v6("fd53:1::/64")};
  Process holder_;
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
  const auto tenant = nat_->attach(netns, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(nat_->attached(), 1U);
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kWeb), "2001:db8:1::1");
  const auto back = nat_->detach(*tenant, Fate::kKept);
  ASSERT_TRUE(back) << back.error().describe();
  EXPECT_EQ(nat_->attached(), 0U);
  EXPECT_EQ(testing::complaint_inside(netns.fd(), verdict), "") << "it is not as it was";
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "denied");
  remove();
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, WorksWithoutIpv6) {
  options_.ipv6.reset();
  start();
  fill_pool();
  Netns netns = lease();
  const auto tenant = nat_->attach(netns, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
  EXPECT_EQ(ask(netns.fd(), kPublic6, World::kWeb), "denied");
}

TEST_F(NatNetworkTest, ANamespaceMayBeDeadBeforeItIsDetached) {
  start();
  fill_pool();
  auto watch = testing::DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  std::vector<Tenant> tenants;
  {
    Netns netns = lease();
    ASSERT_TRUE(watch->watch(netns.fd()));
    auto tenant = nat_->attach(netns, {});
    ASSERT_TRUE(tenant) << tenant.error().describe();
    tenants.push_back(*tenant);
  }
  ASSERT_EQ(watch->alive(testing::kPatience).value_or(99), 0U);
  const auto back = nat_->detach(tenants.front(), Fate::kDestroyed);
  EXPECT_TRUE(back) << back.error().describe();
  remove();
  EXPECT_EQ(state(), before_);
}

TEST_F(NatNetworkTest, RefusesWhatItCannotDoAndLeavesNothing) {
  start();
  fill_pool(Furnish::kLoopback);
  const auto before = state();
  Netns netns = lease();
  const auto unroutable = nat_->attach(netns, {});
  ASSERT_FALSE(unroutable);
  EXPECT_EQ(unroutable.error().code, Code::kInvalid);
  pool_.reset();
  fill_pool();
  Netns routable = lease();
  Egress contradictory;
  contradictory.allowed = {{make_network_v4("10.0.0.0/8"), Protocol::kTcp, {{2, 1}}}};
  EXPECT_FALSE(nat_->attach(routable, contradictory));
  // A second link for the same namespace.
  ASSERT_TRUE(nat_->attach(routable, {}));
  const auto one = state();
  EXPECT_FALSE(nat_->attach(routable, {}));
  EXPECT_EQ(state(), one);
  EXPECT_NE(one, before);
  EXPECT_EQ(nat_->attached(), 1U);
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
  ASSERT_TRUE(nat_->attach(orphan, {}));
  nat_.reset();  // forgets everything and removes nothing, as a crash does
  EXPECT_EQ(ask(orphan.fd(), kPublic4, World::kWeb), "198.51.100.1") << "the control";
  start();
  EXPECT_EQ(ask(orphan.fd(), kPublic4, World::kWeb), "denied");
  Netns fresh = lease();
  ASSERT_TRUE(nat_->attach(fresh, {}));
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
    const auto tenant = nat_->attach(dying.back(), {});
    ASSERT_TRUE(tenant) << tenant.error().describe();
    ASSERT_TRUE(nat_->detach(*tenant, Fate::kDestroyed));
    EXPECT_EQ(ask(dying.back().fd(), kPublic4, World::kWeb), "denied") << "nothing passes already";
  }
  Netns next = lease();
  const auto refused = nat_->attach(next, {});
  ASSERT_FALSE(refused) << "all places are in quarantine";
  EXPECT_EQ(refused.error().code, Code::kRejected);
  std::this_thread::sleep_for(options_.quarantine);
  const auto tenant = nat_->attach(next, {});
  ASSERT_TRUE(tenant) << tenant.error().describe();
  EXPECT_EQ(ask(next.fd(), kPublic4, World::kWeb), "198.51.100.1");
}

struct Costs {
  std::vector<std::int64_t> attach_us;
  std::vector<std::int64_t> detach_us;

  void print(const char* what) {
    for (auto* times : {&attach_us, &detach_us}) {
      std::sort(times->begin(), times->end());
      std::cout << what << (times == &attach_us ? ", attach: p50 " : ", detach: p50 ")
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
    const auto tenant = nat_->attach(netns, egress);
    const auto attached = Clock::now();
    ASSERT_TRUE(tenant) << tenant.error().describe();
    // At once: the link must pass packets when attach() returns.
    ASSERT_EQ(ask(netns.fd(), kPublic4, World::kWeb), "198.51.100.1");
    const auto used = Clock::now();
    const auto back = nat_->detach(*tenant, GetParam());
    ASSERT_TRUE(back) << back.error().describe();
    costs.attach_us.push_back(micros_between(begin, attached));
    costs.detach_us.push_back(micros_between(used, Clock::now()));
  };
  const auto between = state();
  for (int i = 0; i < kCycles; ++i) ASSERT_NO_FATAL_FAILURE(cycle());
  EXPECT_EQ(watch->alive(testing::kPatience).value_or(99), 0U) << "namespaces were kept alive";
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
