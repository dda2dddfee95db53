/// What a sockd with the network class "nat" makes in its host's network, and that it takes all of
/// it away: when it stops, and when it comes back after a crash.

#include <fstream>
#include <thread>

#include "netns-pool/nftables.h"
#include "netns-pool/route_request.h"
#include "tests/e2e/nat_suite.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

const std::string kWithoutNat = "[zygotes]\nsets = []\n";

class NatLifecycle : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
    world_ = std::make_unique<NatWorld>();
    before_ = world_->state();
  }

  static void start(Daemon& daemon) {
    const auto started = daemon.start();
    ASSERT_TRUE(started) << started.error().describe();
  }

  static void expect_connected(const Daemon& daemon) {
    Api api(daemon.socket());
    ASSERT_DEPLOYED(api.deploy("t", network_handler(), kNat));
    const std::string probe = "probe('tcp 203.0.113.9 80')";
    EXPECT_EQ(evaluate(api, "t", probe).at("tcp 203.0.113.9 80"), kHost4);
  }

  /// Bridges and ports of all instances.
  [[nodiscard]] std::vector<std::string> links() const {
    std::vector<std::string> names;
    const auto all = netns::testing::route_of(world_->world().host()).links();
    EXPECT_TRUE(all);
    for (const auto& link : *all) {
      if (link.name.starts_with("sk-")) names.push_back(link.name);
    }
    return names;
  }

  /// The name of the only bridge.
  [[nodiscard]] std::string bridge() const {
    for (const auto& name : links()) {
      if (name.find('-', 3) == std::string::npos) return name;
    }
    return "";
  }

  /// Adds a chain and a port to what an instance has: they are gone when all of it is made anew.
  void mark(const std::string& bridge_name) const {
    auto nftables = netns::Nftables::open();
    ASSERT_TRUE(nftables);
    const std::string table = "sock-" + bridge_name.substr(3);
    const auto added = nftables->run("add chain inet " + table + " left_behind\n", "mark");
    ASSERT_TRUE(added) << added.error().describe();
    netns::RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    request.put(IFLA_IFNAME, (bridge_name + "-zz").c_str())
        .nest(IFLA_LINKINFO, [](netns::RouteRequest& info) { info.put(IFLA_INFO_KIND, "veth"); });
    auto route = netns::testing::route_of(world_->world().host());
    const auto made = route.ask(request, "make port", bridge_name);
    ASSERT_TRUE(made) << made.error().describe();
  }

  std::unique_ptr<NatWorld> world_;
  std::string before_;
};

TEST_F(NatLifecycle, NothingIsLeftWhenItStops) {
  Daemon daemon(BareNat::text());
  start(daemon);
  expect_connected(daemon);
  EXPECT_NE(bridge(), "");
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(world_->state(), before_);
}

TEST_F(NatLifecycle, NothingIsLeftWhenItStopsDuringACall) {
  Daemon daemon(BareNat::text());
  start(daemon);
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("t", network_handler(), kNat));
  boost::json::value answer;
  std::thread caller([&] {
    Api its_own(daemon.socket());
    answer = evaluate(its_own, "t", "ask_gate('here')");
  });
  auto visitor = world_->gate().next();
  daemon.terminate();
  // It waits for the call, which is connected still.
  if (visitor) visitor->answer("late");
  caller.join();
  EXPECT_EQ(daemon.wait_for_exit(), 0);
  EXPECT_EQ(boost::json::serialize(answer), R"(["late"])");
  EXPECT_EQ(world_->state(), before_);
}

TEST_F(NatLifecycle, ANewStartReplacesWhatACrashLeft) {
  Daemon daemon(BareNat::text());
  start(daemon);
  expect_connected(daemon);
  const std::string name = bridge();
  daemon.kill();
  ASSERT_EQ(bridge(), name) << "nothing was left: this proves nothing";
  mark(name);
  start(daemon);
  EXPECT_EQ(bridge(), name);
  const std::string state = world_->state();
  EXPECT_EQ(state.find("left_behind"), std::string::npos) << state;
  EXPECT_EQ(state.find(name + "-zz"), std::string::npos) << state;
  expect_connected(daemon);
  EXPECT_EQ(daemon.stop(), 0);
  EXPECT_EQ(world_->state(), before_);
}

TEST_F(NatLifecycle, SoDoesOneThatHasNoNatAnyMore) {
  Daemon daemon(BareNat::text());
  start(daemon);
  expect_connected(daemon);
  daemon.kill();
  ASSERT_NE(bridge(), "");
  mark(bridge());
  std::ofstream(daemon.config_file()) << kWithoutNat;
  start(daemon);
  EXPECT_EQ(world_->state(), before_);
  // Functions that need one are not run without.
  const Reply reply = Api(daemon.socket()).invoke("t", "\"1\"");
  EXPECT_NE(reply.status, 200U) << reply.body;
  EXPECT_NE(reply.text("errorMessage").find("[nat] ipv4"), std::string::npos) << reply.body;
  EXPECT_EQ(daemon.stop(), 0);
}

TEST_F(NatLifecycle, TwoSideBySideLeaveEachOtherAlone) {
  const auto settings = [](const char* ipv4) {
    return "[zygotes]\nsets = []\n[nat]\nresolvers = [\"203.0.113.9\"]\n"
           "allow = [\"internet\", \"10.0.0.0/8\"]\nipv4 = \"" +
           std::string(ipv4) + "\"\n";
  };
  Daemon one(settings("10.88.0.0/24"));
  Daemon two(settings("10.89.0.0/24"));
  start(one);
  start(two);
  expect_connected(one);
  // A sandbox of the second, at work and listening while the first comes and goes.
  const char* const everywhere = R"({"network":"nat","allow":["internet","10.0.0.0/8"]})";
  Api of_two(two.socket());
  ASSERT_DEPLOYED(of_two.deploy("meet", network_handler(), everywhere));
  boost::json::value report;
  std::thread caller([&] {
    Api its_own(two.socket());
    report = evaluate(its_own, "meet", "meet(False)");
  });
  auto visitor = world_->gate().next();
  EXPECT_TRUE(visitor);
  if (visitor) {
    one.kill();
    start(one);
    Api of_one(one.socket());
    ASSERT_DEPLOYED(of_one.deploy("seek", network_handler(), everywhere));
    const std::string target = "tcp " + visitor->words + " 7000";
    const auto found = evaluate(of_one, "seek", "probe('" + target + "','tcp 203.0.113.9 80')");
    EXPECT_TRUE(denied(found.at(target))) << found;
    EXPECT_EQ(found.at("tcp 203.0.113.9 80"), kHost4);
    EXPECT_EQ(one.stop(), 0);
    visitor->answer(visitor->words);
    if (auto again = world_->gate().next()) again->answer("");
  }
  caller.join();
  ASSERT_TRUE(report.is_object());
  EXPECT_EQ(report.at("visits"), boost::json::value({1, 1, 1})) << "but for its own";
  expect_connected(two);
  EXPECT_EQ(two.stop(), 0);
  EXPECT_EQ(world_->state(), before_);
}

TEST_F(NatLifecycle, WithoutForwardingItSaysWhichSettingIsMissing) {
  std::ofstream("/proc/sys/net/ipv4/ip_forward") << "0\n";
  Daemon daemon(BareNat::text());
  const auto started = daemon.start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("net.ipv4.ip_forward"), std::string::npos)
      << started.error().describe();
  EXPECT_EQ(links(), std::vector<std::string>());
}

}  // namespace
}  // namespace sock::e2e
