#include "netns-pool/netns_pool.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <vector>

#include "base/fd.h"
#include "netns-pool/namespace_id.h"
#include "tests/netns-pool/holder_fixture.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::complaint_inside;
using testing::DeathWatch;
using testing::exists;
using testing::gone_within;
using testing::kPatience;
using testing::lease;
using testing::Loop;
using testing::open_descriptors;

using Pool = std::unique_ptr<NetnsPool>;
using Outcome = std::shared_ptr<std::optional<Result<Netns>>>;

class NetnsPoolTest : public testing::HolderTest {
 protected:
  PoolOptions options(std::size_t low, std::size_t high) {
    auto options = pool_options(low, high);
    options.place_helper = [this](pid_t pid) -> Result<> {
      helpers_.push_back(pid);
      return {};
    };
    return options;
  }

  Pool start(PoolOptions options) {
    auto pool = loop().run(NetnsPool::start(std::move(options)));
    if (!pool) {
      ADD_FAILURE() << pool.error().describe();
      return nullptr;
    }
    return std::move(*pool);
  }

  bool until_ready(const Pool& pool, std::size_t count) {
    return loop().until([&] { return pool->stats().ready == count; });
  }

  Outcome lease_behind(const Pool& pool) {
    auto outcome = std::make_shared<std::optional<Result<Netns>>>();
    loop().spawn(pool->lease(), outcome);
    return outcome;
  }

  /// The latest helper, which is our child: its number cannot be another's.
  void signal_helper(int number) { ASSERT_EQ(::kill(helpers_.back(), number), 0); }

  Loop& loop() {
    if (!loop_) loop_.emplace();
    return *loop_;
  }

  std::vector<pid_t> helpers_;
  std::optional<Loop> loop_;
};

TEST_F(NetnsPoolTest, FillsToLowBeforeStartReturnsAndNoFurtherWithoutDemand) {
  const Pool pool = start(options(3, 9));
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->stats().ready, 3U);
  loop().settle(Millis{100});
  const auto stats = pool->stats();
  EXPECT_EQ(stats.ready, 3U);
  EXPECT_EQ(stats.target, 3U);
  EXPECT_EQ(stats.builds, 3U);
  EXPECT_EQ(stats.low, 3U);
  EXPECT_EQ(stats.high, 9U);
  EXPECT_EQ(stats.failures, 0U) << stats.last_error;
  ASSERT_TRUE(stats.build_us_p50);
  EXPECT_GT(*stats.build_us_p50, 0);
}

TEST_F(NetnsPoolTest, RefillsWhenAQuarterIsGone) {
  const Pool pool = start(options(8, 8));
  ASSERT_TRUE(pool);
  const Netns first = lease(loop(), *pool);
  loop().settle(Millis{100});
  EXPECT_EQ(pool->stats().ready, 7U);
  const Netns second = lease(loop(), *pool);
  ASSERT_TRUE(until_ready(pool, 8));
  EXPECT_EQ(pool->stats().builds, 10U);
  EXPECT_EQ(pool->stats().leased, 2U);
  EXPECT_EQ(pool->stats().misses, 0U);
  EXPECT_EQ(pool->stats().leases, 2U);
}

TEST_F(NetnsPoolTest, HoldsMoreWhereABurstFoundTooFew) {
  const Pool pool = start(options(1, 16));
  ASSERT_TRUE(pool);
  std::vector<Outcome> burst;
  for (int i = 0; i < 9; ++i) burst.push_back(lease_behind(pool));
  ASSERT_TRUE(loop().until([&] {
    return std::all_of(burst.begin(), burst.end(), [](auto& each) { return each->has_value(); });
  }));
  EXPECT_GE(pool->stats().misses, 8U);
  EXPECT_GE(pool->stats().target, 8U);
  // The next burst finds enough.
  ASSERT_TRUE(until_ready(pool, pool->stats().target));
  const auto misses = pool->stats().misses;
  std::vector<Netns> leased;
  for (int i = 0; i < 8; ++i) leased.push_back(lease(loop(), *pool));
  EXPECT_EQ(pool->stats().misses, misses);
}

TEST_F(NetnsPoolTest, NeverHoldsMoreThanHigh) {
  const Pool pool = start(options(1, 4));
  ASSERT_TRUE(pool);
  std::vector<Outcome> burst;
  for (int i = 0; i < 20; ++i) burst.push_back(lease_behind(pool));
  ASSERT_TRUE(loop().until([&] {
    return std::all_of(burst.begin(), burst.end(), [](auto& each) { return each->has_value(); });
  }));
  ASSERT_TRUE(until_ready(pool, 4));
  loop().settle(Millis{100});
  EXPECT_EQ(pool->stats().ready, 4U);
}

TEST_F(NetnsPoolTest, OneOfSeveralHelpersMayDieUnderWaiters) {
  auto crew = options(2, 2);
  crew.builders = 2;
  const Pool pool = start(std::move(crew));
  ASSERT_TRUE(pool);
  ASSERT_TRUE(loop().until([&] { return helpers_.size() == 2; }));
  signal_helper(SIGSTOP);
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 12; ++i) outcomes.push_back(lease_behind(pool));
  // The stopped one owes some of them; the other builds those, too, once it is known to be lost.
  loop().settle(Millis{50});
  signal_helper(SIGKILL);
  ASSERT_TRUE(loop().until([&] {
    return std::all_of(outcomes.begin(), outcomes.end(), [](auto& o) { return o->has_value(); });
  }));
  for (const auto& outcome : outcomes) {
    EXPECT_TRUE(**outcome) << (**outcome).error().describe();
  }
  EXPECT_TRUE(loop().until([&] { return pool->stats().failures == 1; }));
}

/// With a bound, in a user namespace of the test's own.
class NetnsPoolBoundTest : public NetnsPoolTest {
 protected:
  /// The helper keeps one for itself.
  static constexpr std::uint32_t kMost = 7;

  Pool start_bound(Millis timeout) {
    auto bound = options(2, 2);
    bound.most = kMost;
    bound.lease_timeout = timeout;
    return start(std::move(bound));
  }

  /// Leases what may exist.
  std::vector<Netns> exhaust(const Pool& pool) {
    std::vector<Netns> leased;
    for (std::uint32_t i = 0; i + 1 < kMost; ++i) leased.push_back(lease(loop(), *pool));
    return leased;
  }
};

TEST_F(NetnsPoolBoundTest, IsBusyWhenAsManyExistAsMay) {
  const Pool pool = start_bound(Millis{300});
  ASSERT_TRUE(pool);
  const auto leased = exhaust(pool);
  const auto refused = loop().run(pool->lease());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRejected);
  EXPECT_NE(refused.error().describe().find("user.max_net_namespaces"), std::string::npos)
      << refused.error().describe();
  EXPECT_EQ(pool->stats().leased, kMost - 1);
  EXPECT_GT(pool->stats().full, 0U);
  EXPECT_EQ(pool->stats().failures, 0U) << pool->stats().last_error;
}

TEST_F(NetnsPoolBoundTest, ServesAWaiterWhenOneIsGone) {
  const Pool pool = start_bound(kPatience);
  ASSERT_TRUE(pool);
  auto leased = exhaust(pool);
  const Outcome waiting = lease_behind(pool);
  ASSERT_TRUE(loop().until([&] { return pool->stats().full > 0; }));
  EXPECT_FALSE(waiting->has_value());
  pool->retire(std::move(leased.back()));
  ASSERT_TRUE(loop().until([&] { return waiting->has_value(); }));
  EXPECT_TRUE(**waiting) << (**waiting).error().describe();
}

TEST_F(NetnsPoolBoundTest, HoldsWhileTheyDieFasterThanTheKernelTakesThemApart) {
  const Pool pool = start_bound(kPatience);
  ASSERT_TRUE(pool);
  for (int i = 0; i < 200; ++i) pool->retire(lease(loop(), *pool));
  const auto stats = pool->stats();
  EXPECT_EQ(stats.leases, 200U);
  EXPECT_GT(stats.full, 0U) << "the kernel was never behind: the test proves nothing";
  EXPECT_EQ(stats.failures, 0U) << stats.last_error;
  EXPECT_EQ(stats.burns.at("retired"), 200U);
}

TEST_F(NetnsPoolTest, ListsWhatLives) {
  const Pool pool = start(options(2, 2));
  ASSERT_TRUE(pool);
  auto netns = loop().run(pool->lease("hello@1"));
  ASSERT_TRUE(netns);
  const auto list = pool->list();
  const auto leased = std::find_if(list.begin(), list.end(), [&](const NetnsView& view) {
    return view.inode == netns->inode();
  });
  ASSERT_NE(leased, list.end());
  EXPECT_EQ(leased->state, NetnsView::State::kLeased);
  EXPECT_EQ(leased->owner, "hello@1");
  EXPECT_EQ(leased->leases, 1U);
  EXPECT_EQ(leased->built, netns->built);
  EXPECT_EQ(
      std::count_if(list.begin(), list.end(),
                    [](const NetnsView& view) { return view.state == NetnsView::State::kReady; }),
      static_cast<std::ptrdiff_t>(pool->stats().ready));
  // One that ends elsewhere, and never comes back.
  *netns = Netns();
  pool->tick();
  EXPECT_EQ(pool->stats().leased, 0U);
}

int connect_errno(const char* address, std::uint16_t port) {
  // Blocking: loopback and an unreachable network both answer at once, and only then truly.
  const Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{5, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  ::inet_pton(AF_INET, address, &peer.sin_addr);
  return ::connect(socket.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer) == 0 ? 0 : errno;
}

/// What distinguishes this network namespace from a fresh one; empty when nothing does.
std::string complaint_about_network(std::uint16_t hosts_port) {
  struct if_nameindex* links = ::if_nameindex();
  std::string names;
  for (auto* link = links; link != nullptr && link->if_index != 0; ++link) {
    names += std::string(link->if_name) + " ";
  }
  ::if_freenameindex(links);
  if (names != "lo ") return "links: " + names;
  ifaddrs* addresses = nullptr;
  if (::getifaddrs(&addresses) < 0) return "getifaddrs failed";
  bool up = false;
  for (auto* at = addresses; at != nullptr; at = at->ifa_next) {
    up = up || (at->ifa_addr != nullptr && at->ifa_addr->sa_family == AF_INET &&
                (at->ifa_flags & IFF_UP) != 0);
  }
  ::freeifaddrs(addresses);
  if (!up) return "loopback has no address or is down";
  if (const int error = connect_errno("192.0.2.1", 80); error != ENETUNREACH) {
    return "outside address: errno " + std::to_string(error);
  }
  const int error = connect_errno("127.0.0.1", hosts_port);
  return error == ECONNREFUSED ? "" : "loopback: errno " + std::to_string(error);
}

TEST_F(NetnsPoolTest, LeasesAreDistinctFreshAndClosed) {
  // The control: what must be out of reach inside is within reach here.
  const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::uint16_t port = ntohs(address.sin_port);
  ASSERT_EQ(connect_errno("127.0.0.1", port), 0);

  const Pool pool = start(options(4, 8));
  ASSERT_TRUE(pool);
  const auto owner = user_namespace_of(holder_.pidfd());
  ASSERT_TRUE(owner);
  std::vector<Netns> leased;
  std::set<std::uint64_t> inodes{own_network_namespace().value_or(NamespaceId{}).inode};
  for (int i = 0; i < 8; ++i) {
    auto netns = loop().run(pool->lease());
    ASSERT_TRUE(netns) << netns.error().describe();
    EXPECT_TRUE(inodes.insert(netns->inode()).second) << netns->inode();
    EXPECT_EQ(owner_of(netns->fd()).value_or(NamespaceId{}), *owner);
    EXPECT_EQ(complaint_inside(netns->fd(), [&] { return complaint_about_network(port); }), "");
    leased.push_back(std::move(*netns));
  }
}

TEST_F(NetnsPoolTest, ExhaustedPoolCountsMissesAndServesInOrder) {
  const Pool pool = start(options(1, 1));
  ASSERT_TRUE(pool);
  std::vector<Outcome> outcomes;
  for (int i = 0; i < 12; ++i) outcomes.push_back(lease_behind(pool));
  std::size_t served = 0;
  std::set<std::uint64_t> inodes;
  ASSERT_TRUE(loop().until([&] {
    const auto done = static_cast<std::size_t>(
        std::count_if(outcomes.begin(), outcomes.end(), [](auto& o) { return o->has_value(); }));
    // First come, first served: those who are served are always the first ones.
    for (std::size_t i = 0; i < done; ++i) EXPECT_TRUE(outcomes[i]->has_value()) << i;
    served = done;
    return done == outcomes.size();
  }));
  for (auto& outcome : outcomes) {
    ASSERT_TRUE(**outcome) << (**outcome).error().describe();
    EXPECT_TRUE(inodes.insert((**outcome)->inode()).second);
  }
  EXPECT_EQ(pool->stats().misses, 11U);
  EXPECT_EQ(pool->stats().leases, 12U);
}

TEST_F(NetnsPoolTest, KilledHelperIsReplacedAndTheStockKept) {
  const Pool pool = start(options(4, 4));
  ASSERT_TRUE(pool);
  signal_helper(SIGKILL);
  ASSERT_TRUE(loop().until([&] { return pool->stats().failures == 1; }));
  EXPECT_EQ(pool->stats().ready, 4U);
  std::vector<Netns> leased;
  for (int i = 0; i < 12; ++i) {
    auto netns = loop().run(pool->lease());
    // One that waits while the helper is down is served by the next helper.
    ASSERT_TRUE(netns) << netns.error().describe();
    leased.push_back(std::move(*netns));
  }
  ASSERT_TRUE(until_ready(pool, 4));
  EXPECT_EQ(helpers_.size(), 2U);
  EXPECT_FALSE(exists(helpers_.front())) << "not reaped";
  EXPECT_EQ(pool->stats().failures, 1U);
}

TEST_F(NetnsPoolTest, WaitersOfAKilledHelperGetAnError) {
  const Pool pool = start(options(1, 1));
  ASSERT_TRUE(pool);
  signal_helper(SIGSTOP);
  ASSERT_TRUE(loop().run(pool->lease()));
  const Outcome first = lease_behind(pool);
  const Outcome second = lease_behind(pool);
  loop().settle(Millis{50});
  ASSERT_FALSE(first->has_value());
  signal_helper(SIGKILL);
  ASSERT_TRUE(loop().until([&] { return first->has_value() && second->has_value(); }));
  for (const auto& outcome : {first, second}) {
    ASSERT_FALSE(**outcome);
    EXPECT_EQ((**outcome).error().code, Code::kInternal) << (**outcome).error().describe();
  }
  EXPECT_TRUE(loop().run(pool->lease()));
}

TEST_F(NetnsPoolTest, StuckHelperIsReplaced) {
  auto stuck = options(1, 1);
  stuck.answer_timeout = Millis{300};
  const Pool pool = start(std::move(stuck));
  ASSERT_TRUE(pool);
  signal_helper(SIGSTOP);
  ASSERT_TRUE(loop().run(pool->lease()));
  loop().settle(Millis{150});  // the refill has been asked for: the helper's time is up first
  const auto begin = Clock::now();
  const auto late = loop().run(pool->lease());
  EXPECT_LT(micros_between(begin, Clock::now()), 1'000'000);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kInternal) << late.error().describe();
  EXPECT_NE(late.error().describe().find("no answer within 300 ms"), std::string::npos);
  ASSERT_TRUE(loop().until([&] { return helpers_.size() == 2; }));
  EXPECT_FALSE(exists(helpers_.front()));
  auto netns = loop().run(pool->lease());
  EXPECT_TRUE(netns) << netns.error().describe();
}

TEST_F(NetnsPoolTest, LeaseIsRejectedWhenItsTimeIsUp) {
  auto doomed = options(1, 1);
  doomed.lease_timeout = Millis{200};
  const Pool pool = start(std::move(doomed));
  ASSERT_TRUE(pool);
  // No helper can start any more, and the pause before the next attempt grows past the timeout.
  holder_.signal(SIGKILL);
  ASSERT_TRUE(gone_within(holder_.pid(), kPatience));
  signal_helper(SIGKILL);
  ASSERT_TRUE(loop().until([&] { return pool->stats().failures == 7; }));
  ASSERT_TRUE(loop().run(pool->lease()));
  const auto begin = Clock::now();
  const auto rejected = loop().run(pool->lease());
  const auto waited = micros_between(begin, Clock::now());
  ASSERT_FALSE(rejected);
  EXPECT_EQ(rejected.error().code, Code::kRejected) << rejected.error().describe();
  EXPECT_NE(rejected.error().message.find("latest failure"), std::string::npos);
  EXPECT_GE(waited, 200'000);
  EXPECT_LT(waited, 1'000'000);
  EXPECT_EQ(pool->stats().misses, 1U);
}

TEST_F(NetnsPoolTest, TwoHundredLeasesLeaveNothingBehind) {
  auto watch = DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  loop();
  const std::size_t before = open_descriptors();
  {
    const Pool pool = start(options(8, 32));
    ASSERT_TRUE(pool);
    for (int i = 0; i < 200; ++i) {
      auto netns = loop().run(pool->lease());
      ASSERT_TRUE(netns) << netns.error().describe();
      const auto watched = watch->watch(netns->fd());
      ASSERT_TRUE(watched) << watched.error().describe();
      pool->retire(std::move(*netns));
    }
    EXPECT_EQ(pool->stats().leases, 200U);
    EXPECT_EQ(pool->stats().destroyed, 200U);
    // Those used are gone while the pool lives; the stock goes with it.
    EXPECT_EQ(watch->alive(kPatience).value_or(99), 0U);
    loop().run(pool->stop());
    EXPECT_EQ(pool->stats().ready, 0U);
    EXPECT_EQ(pool->stats().destroyed, pool->stats().builds);
    EXPECT_FALSE(exists(helpers_.back()));
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(NetnsPoolTest, StopEndsWaitingLeasesAndLaterOnes) {
  const Pool pool = start(options(1, 1));
  ASSERT_TRUE(pool);
  signal_helper(SIGSTOP);
  auto kept = loop().run(pool->lease());
  ASSERT_TRUE(kept);
  const Outcome waiting = lease_behind(pool);
  loop().settle(Millis{20});
  loop().run(pool->stop());
  ASSERT_TRUE(loop().until([&] { return waiting->has_value(); }));
  ASSERT_FALSE(**waiting);
  EXPECT_EQ((**waiting).error().code, Code::kDraining);
  auto late = loop().run(pool->lease());
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kDraining);
  loop().run(pool->stop());
  EXPECT_FALSE(exists(helpers_.back()));
  EXPECT_EQ(helpers_.size(), 1U);
  // What was leased outlives the pool.
  EXPECT_EQ(complaint_inside(kept->fd(), [] { return std::string(); }), "");
}

TEST_F(NetnsPoolTest, DestroyedPoolLeavesNoCoroutineAndNoHelper) {
  loop();
  const std::size_t before = open_descriptors();
  {
    Pool pool = start(options(2, 4));
    ASSERT_TRUE(pool);
    signal_helper(SIGSTOP);
    std::vector<Netns> kept;
    while (pool->stats().ready > 0) kept.push_back(std::move(*loop().run(pool->lease())));
    const Outcome waiting = lease_behind(pool);
    auto unstarted = pool->lease();
    loop().settle(Millis{20});
    pool.reset();
    ASSERT_TRUE(loop().until([&] { return waiting->has_value(); }));
    EXPECT_FALSE(**waiting);
    EXPECT_FALSE(loop().run(std::move(unstarted)));
  }
  EXPECT_TRUE(loop().until([&] { return !exists(helpers_.back()); }));
  EXPECT_TRUE(loop().until([&] { return open_descriptors() == before; }));
}

TEST_F(NetnsPoolTest, LoopMayEndWithoutAnotherTurn) {
  const std::size_t before = open_descriptors();
  {
    Pool pool = start(options(2, 16));
    ASSERT_TRUE(pool);
    std::vector<Outcome> waiting;
    for (int i = 0; i < 20; ++i) waiting.push_back(lease_behind(pool));
    loop().settle(Millis{1});
    pool.reset();
    loop_.reset();
  }
  EXPECT_FALSE(exists(helpers_.back()));
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(NetnsPoolTest, RefusesOptionsOutOfRange) {
  auto crossed = options(5, 4);
  auto nothing = options(0, 0);
  auto huge = options(1, NetnsPool::kMaxHigh + 1);
  auto nameless = options(1, 2);
  nameless.helper.clear();
  auto timeless = options(1, 2);
  timeless.answer_timeout = Millis{0};
  auto unmanned = options(1, 2);
  unmanned.builders = 0;
  auto crowded = options(1, 2);
  crowded.builders = NetnsPool::kMaxBuilders + 1;
  auto global = options(1, 2);
  global.user_namespace = -1;
  global.most = 100;
  for (auto* bad :
       {&crossed, &nothing, &huge, &nameless, &timeless, &unmanned, &crowded, &global}) {
    auto pool = loop().run(NetnsPool::start(*bad));
    ASSERT_FALSE(pool);
    EXPECT_EQ(pool.error().code, Code::kInvalid) << pool.error().describe();
  }
  EXPECT_TRUE(helpers_.empty());
}

TEST_F(NetnsPoolTest, StartSaysWhatIsMissing) {
  auto absent = options(1, 2);
  absent.helper = "/nonexistent/sock-netns";
  auto pool = loop().run(NetnsPool::start(absent));
  ASSERT_FALSE(pool);
  EXPECT_NE(pool.error().describe().find("/nonexistent/sock-netns"), std::string::npos);

  auto unplaced = options(1, 2);
  unplaced.place_helper = [](pid_t) { return fail(Code::kInternal, "place", "no such cgroup"); };
  pool = loop().run(NetnsPool::start(unplaced));
  ASSERT_FALSE(pool);
  EXPECT_NE(pool.error().describe().find("no such cgroup"), std::string::npos);

  const Fd dead(::fcntl(holder_.pidfd(), F_DUPFD_CLOEXEC, 3));
  holder_.kill_and_reap();
  auto orphaned = options(1, 2);
  orphaned.user_namespace = dead.get();
  pool = loop().run(NetnsPool::start(orphaned));
  EXPECT_FALSE(pool);
}

TEST_F(NetnsPoolTest, HelperThatCannotJoinAgainIsTriedAgainSlowly) {
  const Pool pool = start(options(2, 2));
  ASSERT_TRUE(pool);
  holder_.signal(SIGKILL);
  ASSERT_TRUE(gone_within(holder_.pid(), kPatience));
  signal_helper(SIGKILL);
  // 10 + 20 + 40 + … ms of pauses: some attempts in this time, not hundreds.
  loop().settle(Millis{700});
  EXPECT_GE(helpers_.size(), 3U);
  EXPECT_LE(helpers_.size(), 10U);
  EXPECT_NE(pool->stats().last_error.find("user namespace"), std::string::npos)
      << pool->stats().last_error;
  EXPECT_EQ(pool->stats().ready, 2U);
  EXPECT_TRUE(loop().run(pool->lease()));
}

TEST_F(NetnsPoolTest, LeaseFromStockTakesNoTime) {
  constexpr std::size_t kLeases = 200;
  const Pool pool = start(options(kLeases + 8, kLeases + 8));
  ASSERT_TRUE(pool);
  std::vector<Netns> leased;
  leased.reserve(kLeases);
  std::vector<std::int64_t> nanoseconds;
  const auto measure = [&]() -> boost::asio::awaitable<Result<>> {
    for (std::size_t i = 0; i < kLeases; ++i) {
      const auto begin = Clock::now();
      auto netns = co_await pool->lease();
      nanoseconds.push_back((Clock::now() - begin).count());
      if (!netns) co_return std::unexpected(netns.error());
      leased.push_back(std::move(*netns));
    }
    co_return Result<>{};
  };
  ASSERT_TRUE(loop().run(measure()));
  std::sort(nanoseconds.begin(), nanoseconds.end());
  const double p50 = static_cast<double>(nanoseconds[kLeases / 2]) / 1000;
  const double p99 = static_cast<double>(nanoseconds[kLeases * 99 / 100]) / 1000;
  std::printf("lease from stock: p50 %.2f us, p99 %.2f us; build p50 %lld us\n", p50, p99,
              static_cast<long long>(pool->stats().build_us_p50.value_or(-1)));
  EXPECT_EQ(pool->stats().misses, 0U);
  // Far above what it takes, far below a build (350 µs): room for sanitizers and busy machines.
  EXPECT_LT(p50, 50);
}

}  // namespace
}  // namespace sock::netns
