// The network as sockd's event loop uses it: links ahead of demand, opened and closed by the call.
#include "netns-pool/uplinks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/detached.hpp>
#include <iostream>
#include <thread>

#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/holder_fixture.h"
#include "tests/netns-pool/nat_fixture.h"
#include "tests/netns-pool/support.h"
#include "tests/netns-pool/world.h"

namespace sock::netns {
namespace {

using boost::asio::ip::make_network_v4;
using boost::asio::ip::make_network_v6;
namespace asio = boost::asio;

using testing::ask;
using testing::Loop;
using testing::World;

constexpr const char* kHost4 = "198.51.100.1";
constexpr const char* kPublic4 = "203.0.113.9";
constexpr const char* kDenied = "denied";

Egress private_only() {
  Egress egress;
  egress.internet = false;
  egress.allowed = {testing::to_v4("10.9.0.0/16")};
  return egress;
}

class UplinksTest : public testing::HolderTest {
 protected:
  void SetUp() override {
    HolderTest::SetUp();
    if (IsSkipped()) return;
    world_ = std::make_unique<World>();
    before_ = state();
    auto watch = testing::DeathWatch::create();
    ASSERT_TRUE(watch) << watch.error().describe();
    watch_ = std::make_unique<testing::DeathWatch>(std::move(*watch));
  }

  void TearDown() override {
    pool_.reset();
    uplinks_.reset();
    loop_.settle(Millis{0});
  }

  void start() {
    auto uplinks = loop_.run(Uplinks::start(options_));
    ASSERT_TRUE(uplinks) << uplinks.error().describe();
    uplinks_ = std::move(*uplinks);
    PoolOptions options;
    options.low = 4;
    options.high = 16;
    options.lease_timeout = testing::kPatience;
    options.helper = testing::helper_path();
    options.user_namespace = holder_.pidfd();
    options.furnish = Furnish::kRoutable;
    auto pool = loop_.run(NetnsPool::start(options));
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  Netns lease() {
    auto netns = testing::lease(loop_, *pool_);
    EXPECT_TRUE(watch_->watch(netns.fd()));
    return netns;
  }

  Netns plugged() {
    auto netns = lease();
    must(loop_.run(uplinks_->plug(netns)));
    return netns;
  }

  std::vector<Netns> many_plugged(int count) {
    std::vector<Netns> all;
    for (int i = 0; i < count; ++i) all.push_back(plugged());
    return all;
  }

  static void must(const Result<>& done) { ASSERT_TRUE(done) << done.error().describe(); }

  static void expect(Code code, const Result<>& done) {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, code) << done.error().describe();
  }

  /// For settle(). It is not watched.
  void make_probe() {
    probe_ = testing::lease(loop_, *pool_);
    must(loop_.run(uplinks_->plug(probe_)));
  }

  /// Returns when the worker has taken back everything it was told to before.
  void settle() { must(loop_.run(uplinks_->dismiss(probe_))); }

  /// No namespace is left, and the links that the kernel removes after them are not either.
  void expect_back_to(const std::string& before) {
    EXPECT_EQ(watch_->alive(testing::kPatience).value_or(99), 0U) << "namespaces were kept alive";
    if (!loop_.until([&] { return state() == before; })) {
      EXPECT_EQ(state(), before);
    }
  }

  [[nodiscard]] std::string state() const { return world_->state_of_host() + testing::ruleset(); }

  NatOptions options_{InstanceName::parse("test").value(), make_network_v4("10.231.0.0/16"),
                      make_network_v6("fd53:1::/64")};
  std::unique_ptr<World> world_;
  std::string before_;
  std::unique_ptr<testing::DeathWatch> watch_;
  Loop loop_;
  std::shared_ptr<Uplinks> uplinks_;
  std::unique_ptr<NetnsPool> pool_;
  Netns probe_;
};

TEST_F(UplinksTest, PassWhatIsAdmittedAndNothingBeforeOrAfter) {
  start();
  Netns netns = lease();
  EXPECT_FALSE(netns.address());
  must(loop_.run(uplinks_->plug(netns)));
  ASSERT_TRUE(netns.address());
  EXPECT_EQ(netns.address()->ipv4.to_string(), "10.231.0.2");
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kDenied);
  must(loop_.run(uplinks_->admit(netns, {})));
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kHost4);
  must(loop_.run(uplinks_->dismiss(netns)));
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kDenied);
  must(loop_.run(uplinks_->admit(netns, private_only())));
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kDenied);
  EXPECT_EQ(ask(netns.fd(), "10.9.0.1", World::kWeb), kHost4);
}

TEST_F(UplinksTest, TidyUpBehindThemselves) {
  start();
  auto conntrack = Conntrack::open();
  ASSERT_TRUE(conntrack);
  if (!conntrack->forget(boost::asio::ip::make_address_v4("192.0.2.1"), 1)) {
    GTEST_SKIP() << "this kernel cannot forget by address and zone";
  }
  auto boxes = many_plugged(3);
  for (auto& netns : boxes) {
    must(loop_.run(uplinks_->admit(netns, {})));
    EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kHost4);
  }
  EXPECT_EQ(testing::remembered_connections(), 3);
  must(loop_.run(uplinks_->dismiss(boxes[0])));
  boxes[1] = {};
  EXPECT_TRUE(loop_.until([] { return testing::remembered_connections() == 1; }));
}

TEST_F(UplinksTest, RefuseWhatIsOutOfOrder) {
  start();
  Netns bare;
  expect(Code::kInvalid, loop_.run(uplinks_->plug(bare)));
  expect(Code::kInvalid, loop_.run(uplinks_->admit(bare, {})));
  expect(Code::kInvalid, loop_.run(uplinks_->dismiss(bare)));
  Netns netns = plugged();
  expect(Code::kInvalid, loop_.run(uplinks_->plug(netns)));
  must(loop_.run(uplinks_->dismiss(netns)));
  must(loop_.run(uplinks_->admit(netns, {})));
  expect(Code::kInvalid, loop_.run(uplinks_->admit(netns, private_only())));
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kHost4) << "the first admission holds";
}

TEST_F(UplinksTest, GiveBackThePlaceOfADestroyedNamespace) {
  options_.ipv4 = make_network_v4("10.231.0.0/29");  // five places
  options_.quarantine = Millis{0};
  start();
  auto boxes = many_plugged(5);
  const auto places = boxes[3].address();
  must(loop_.run(uplinks_->admit(boxes[3], {})));
  Netns next = lease();
  expect(Code::kRejected, loop_.run(uplinks_->plug(next)));
  std::thread([gone = std::move(boxes[3])] {}).join();  // on any thread
  must(loop_.run(uplinks_->plug(next)));
  EXPECT_EQ(next.address()->ipv4, places->ipv4);
  EXPECT_EQ(ask(next.fd(), kPublic4, World::kWeb), kDenied) << "the place was left open";
}

TEST_F(UplinksTest, AreFullWhenTheBridgeIs) {
  options_.quarantine = Millis{0};
  start();
  std::vector<Netns> boxes;
  for (std::size_t i = 0; i < SlotPool::kMostTaken; ++i) boxes.push_back(plugged());
  Netns next = lease();
  const auto refused = loop_.run(uplinks_->plug(next));
  expect(Code::kRejected, refused);
  EXPECT_NE(refused.error().message.find("ports"), std::string::npos);
  boxes.pop_back();
  // Its port is the bridge's until the kernel has taken the namespace apart.
  Result<> done;
  ASSERT_TRUE(loop_.until([&] {
    done = loop_.run(uplinks_->plug(next));
    return done || done.error().code != Code::kRejected;
  }));
  must(done);
}

TEST_F(UplinksTest, OneBadListAmongManyFailsAlone) {
  start();
  auto boxes = many_plugged(12);
  Egress bad;
  bad.allowed = {testing::to_v4("10.0.0.0/8", Protocol::kTcp, {{2, 1}})};
  std::vector<std::shared_ptr<std::optional<Result<>>>> results;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    results.push_back(std::make_shared<std::optional<Result<>>>());
    loop_.spawn(uplinks_->admit(boxes[i], i == 5 ? bad : Egress{}), results.back());
  }
  ASSERT_TRUE(loop_.until([&] {
    return std::all_of(results.begin(), results.end(), [](auto& it) { return it->has_value(); });
  }));
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (i == 5) {
      expect(Code::kInvalid, **results[i]);
    } else {
      must(**results[i]);
    }
    EXPECT_EQ(ask(boxes[i].fd(), kPublic4, World::kWeb), i == 5 ? kDenied : kHost4);
  }
}

TEST_F(UplinksTest, StopLeavesNothingAndEndsWhatWaits) {
  start();
  auto boxes = many_plugged(5);
  must(loop_.run(uplinks_->admit(boxes[0], {})));
  auto plug = std::make_shared<std::optional<Result<>>>();
  auto admit = std::make_shared<std::optional<Result<>>>();
  Netns late = lease();
  loop_.spawn(uplinks_->plug(late), plug);
  loop_.spawn(uplinks_->admit(boxes[1], {}), admit);
  must(loop_.run(uplinks_->stop()));
  must(loop_.run(uplinks_->stop()));
  EXPECT_TRUE(loop_.until([&] { return plug->has_value() && admit->has_value(); }));
  EXPECT_EQ(state(), before_);
  EXPECT_EQ(ask(boxes[0].fd(), kPublic4, World::kWeb), kDenied);
  expect(Code::kDraining, loop_.run(uplinks_->admit(boxes[0], {})));
  expect(Code::kDraining, loop_.run(uplinks_->dismiss(boxes[0])));
  Netns other = lease();
  expect(Code::kDraining, loop_.run(uplinks_->plug(other)));
  boxes.clear();
  late = {};
  other = {};
  EXPECT_EQ(watch_->alive(testing::kPatience).value_or(99), 0U) << "namespaces were kept alive";
  EXPECT_EQ(state(), before_);
}

TEST_F(UplinksTest, NamespacesOutliveThem) {
  start();
  Netns netns = plugged();
  uplinks_.reset();
  EXPECT_EQ(state(), before_) << "the destructor stops";
  EXPECT_EQ(ask(netns.fd(), kPublic4, World::kWeb), kDenied);
  netns = {};
  EXPECT_EQ(watch_->alive(testing::kPatience).value_or(99), 0U);
}

TEST_F(UplinksTest, NamespaceAndNetworkMayGoWhileTheyAreAwaited) {
  start();
  make_probe();
  const auto between = state();
  auto plug = std::make_shared<std::optional<Result<>>>();
  auto admit = std::make_shared<std::optional<Result<>>>();
  {
    Netns one = lease();
    Netns two = plugged();
    loop_.spawn(uplinks_->plug(one), plug);
    loop_.spawn(uplinks_->admit(two, {}), admit);
  }
  ASSERT_TRUE(loop_.until([&] { return plug->has_value() && admit->has_value(); }));
  settle();
  expect_back_to(between);
  Netns three = plugged();
  admit->reset();
  loop_.spawn(uplinks_->admit(three, {}), admit);
  uplinks_.reset();
  EXPECT_TRUE(loop_.until([&] { return admit->has_value(); }));
}

TEST_F(UplinksTest, RemovesWhatACrashLeft) {
  start();
  Netns netns = plugged();
  // Another instance's, as if its sockd had crashed.
  auto other = options_;
  other.name = InstanceName::parse("other").value();
  other.ipv4 = make_network_v4("10.232.0.0/24");
  other.ipv6.reset();
  const auto without = state();
  ASSERT_TRUE(NatNetwork::start(other));
  EXPECT_NE(state(), without);
  must(loop_.run(Uplinks::remove(other.name)));
  EXPECT_EQ(state(), without);
}

struct Costs {
  std::vector<std::int64_t> us;

  template <class Body>
  void time(Body body) {
    const auto begin = Clock::now();
    body();
    us.push_back(micros_between(begin, Clock::now()));
  }
  void print(const std::string& what) {
    std::sort(us.begin(), us.end());
    std::cout << what << ": p50 " << us[us.size() / 2] << " us, p99 " << us[us.size() * 99 / 100]
              << " us\n";
  }
};

/// What each step costs with so many others plugged and admitted.
class UplinkCostsTest : public UplinksTest, public ::testing::WithParamInterface<int> {};

TEST_P(UplinkCostsTest, OfEachStep) {
  start();
  auto others = many_plugged(GetParam());
  for (auto& netns : others) must(loop_.run(uplinks_->admit(netns, private_only())));
  Costs plug;
  Costs admit;
  Costs dismiss;
  Costs destroy;
  for (int i = 0; i < 60; ++i) {
    Netns netns = lease();
    plug.time([&] { must(loop_.run(uplinks_->plug(netns))); });
    admit.time([&] { must(loop_.run(uplinks_->admit(netns, private_only()))); });
    dismiss.time([&] { must(loop_.run(uplinks_->dismiss(netns))); });
    must(loop_.run(uplinks_->admit(netns, private_only())));
    destroy.time([&] { netns = {}; });
    must(loop_.run(uplinks_->dismiss(others.empty() ? netns = plugged() : others[0])));
  }
  const auto beside = " beside " + std::to_string(GetParam());
  plug.print("plug" + beside);
  admit.print("admit" + beside);
  dismiss.print("dismiss" + beside);
  destroy.print("destroy" + beside);
}

INSTANTIATE_TEST_SUITE_P(Many, UplinkCostsTest, ::testing::Values(0, 500));

/// Sandboxes many at a time, each plugged, admitted, used up to `uses` times, and destroyed.
TEST_F(UplinksTest, ManyAtOnceLeaveNothingBehind) {
  constexpr int kSandboxes = 300;
  constexpr int kAtOnce = 12;
  start();
  make_probe();
  const auto between = state();
  int begun = 0;
  int ended = 0;
  const auto one = [&]() -> asio::awaitable<Result<>> {
    auto netns = co_await pool_->lease();
    if (!netns) co_return std::unexpected(netns.error());
    if (!watch_->watch(netns->fd())) co_return fail(Code::kInternal, "test", "watch");
    Result<> done = co_await uplinks_->plug(*netns);
    for (int use = 0; done && use < 3; ++use) {
      done = co_await uplinks_->admit(*netns, private_only());
      if (done) done = co_await uplinks_->dismiss(*netns);
    }
    if (done) done = co_await uplinks_->admit(*netns, {});
    co_return done;
  };
  const auto worker = [&]() -> asio::awaitable<Result<>> {
    while (begun < kSandboxes) {
      ++begun;
      Result<> done = co_await one();
      if (!done) co_return done;
      ++ended;
    }
    co_return Result<>{};
  };
  std::vector<std::shared_ptr<std::optional<Result<>>>> results;
  for (int i = 0; i < kAtOnce; ++i) {
    results.push_back(std::make_shared<std::optional<Result<>>>());
    loop_.spawn(worker(), results.back());
  }
  ASSERT_TRUE(loop_.until([&] {
    return std::all_of(results.begin(), results.end(), [](auto& it) { return it->has_value(); });
  }));
  for (const auto& result : results) must(**result);
  EXPECT_EQ(ended, kSandboxes);
  settle();
  expect_back_to(between);
  must(loop_.run(uplinks_->stop()));
  EXPECT_EQ(state(), before_);
}

/// How many changes a second the worker gets through when calls do not wait for each other.
TEST_F(UplinksTest, ChangesTogetherAreCheap) {
  constexpr int kBoxes = 64;
  constexpr int kRounds = 20;
  start();
  auto boxes = many_plugged(kBoxes);
  int failed = 0;
  const auto use = [&](Netns& netns) -> asio::awaitable<Result<>> {
    for (int round = 0; round < kRounds; ++round) {
      const auto admitted = co_await uplinks_->admit(netns, private_only());
      const auto dismissed = co_await uplinks_->dismiss(netns);
      failed += admitted && dismissed ? 0 : 1;
    }
    co_return Result<>{};
  };
  std::vector<std::shared_ptr<std::optional<Result<>>>> results;
  const auto begin = Clock::now();
  for (auto& box : boxes) {
    results.push_back(std::make_shared<std::optional<Result<>>>());
    loop_.spawn(use(box), results.back());
  }
  ASSERT_TRUE(loop_.until([&] {
    return std::all_of(results.begin(), results.end(), [](auto& it) { return it->has_value(); });
  }));
  const auto took = micros_between(begin, Clock::now());
  EXPECT_EQ(failed, 0);
  std::cout << kBoxes * kRounds * 1'000'000LL / took << " admissions and dismissals a second\n";
}

}  // namespace
}  // namespace sock::netns
