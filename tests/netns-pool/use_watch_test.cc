// Proof of non-use against the running kernel: what is done inside a namespace, and whether it is
// handed on.
#include "netns-pool/use_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/message.h"
#include "netns-pool/netns_pool.h"
#include "netns-pool/socket_census.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

namespace fs = std::filesystem;

using testing::complaint_inside;
using testing::helper_path;
using testing::hold_user_namespace;
using testing::Loop;
using testing::missing_rights;

/// Does something, and says what went wrong.
using Body = std::function<std::string()>;

std::string made(int socket) { return socket < 0 ? std::strerror(errno) : ""; }

int bound_abstract_socket() {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path + 1, "left", 4);
  const socklen_t size = offsetof(sockaddr_un, sun_path) + 5;
  if (::bind(socket, reinterpret_cast<sockaddr*>(&name), size) < 0) return -1;
  return socket;
}

class UseWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    for (const char* root : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      if (!fs::exists(fs::path(root) / "cgroup.procs")) continue;
      const auto folder = fs::path(root) / ("sock-use-watch-" + std::to_string(::getpid()));
      if (::mkdir(folder.c_str(), 0755) == 0) group_ = folder;
      break;
    }
    if (group_.empty()) GTEST_SKIP() << "no cgroup v2 to make a group in";
    group_fd_ = Fd(::open(group_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto watch = UseWatch::start(group_fd_.get());
    if (!watch) GTEST_SKIP() << watch.error().describe();
    watch_ = std::move(*watch);
  }

  void TearDown() override {
    pool_.reset();
    watch_.reset();
    if (!group_.empty()) {
      EXPECT_EQ(::rmdir(group_.c_str()), 0) << group_;
    }
  }

  void start_pool(std::size_t high = 1) {
    auto holder = hold_user_namespace();
    ASSERT_TRUE(holder) << holder.error().describe();
    holder_ = std::move(*holder);
    PoolOptions options;
    options.low = 1;
    options.high = high;
    options.helper = helper_path();
    options.user_namespace = holder_.pidfd();
    options.watch = watch_;
    auto pool = loop_.run(NetnsPool::start(std::move(options)));
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  Netns lease() { return testing::lease(loop_, *pool_); }

  /// Runs `body` in the namespace as a process of the watched group, which is dead afterwards.
  void live_in(const Netns& netns, const Body& body) {
    const Fd procs(::openat(group_fd_.get(), "cgroup.procs", O_WRONLY | O_CLOEXEC));
    const auto placed = [&] {
      return ::write(procs.get(), "0", 1) == 1 ? body() : "cannot enter the group";
    };
    EXPECT_EQ(complaint_inside(netns.fd(), placed), "");
  }

  /// Whether a namespace in which `body` was done is handed on.
  bool handed_on_after(const Body& body) {
    start_pool();
    Netns netns = lease();
    const auto inode = netns.inode();
    live_in(netns, body);
    const auto before = pool_->stats();
    pool_->give_back(std::move(netns));
    const auto after = pool_->stats();
    const bool returned = after.returned == before.returned + 1;
    EXPECT_EQ(after.burned, before.burned + (returned ? 0 : 1));
    EXPECT_EQ(after.destroyed, before.destroyed + (returned ? 0 : 1));
    if (returned) {
      EXPECT_EQ(lease().inode(), inode);
    }
    return returned;
  }

  fs::path group_;
  Fd group_fd_;
  std::shared_ptr<UseWatch> watch_;
  Loop loop_;
  Process holder_;
  std::unique_ptr<NetnsPool> pool_;
};

TEST_F(UseWatchTest, HandsOnWhatNobodyTouched) {
  EXPECT_TRUE(handed_on_after([] { return std::string(); }));
}

TEST_F(UseWatchTest, HandsOnAfterUnixSocketsThatAreGone) {
  EXPECT_TRUE(handed_on_after([] {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) return std::string("socketpair");
    return made(bound_abstract_socket());
  }));
}

TEST_F(UseWatchTest, BurnsAfterATcpSocketThatWasNeverUsed) {
  EXPECT_FALSE(handed_on_after([] {
    const Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
    return made(socket.get());
  }));
}

TEST_F(UseWatchTest, BurnsAfterAUdpSocketOfIpv6) {
  EXPECT_FALSE(handed_on_after([] { return made(::socket(AF_INET6, SOCK_DGRAM, 0)); }));
}

TEST_F(UseWatchTest, BurnsAfterARawSocket) {
  EXPECT_FALSE(handed_on_after([] { return made(::socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }));
}

TEST_F(UseWatchTest, BurnsWhenASocketIsKeptAliveElsewhere) {
  auto pair = socket_pair(SOCK_SEQPACKET);
  ASSERT_TRUE(pair);
  EXPECT_FALSE(handed_on_after([&pair] {
    const std::array<int, 1> fds{bound_abstract_socket()};
    const char byte = 'x';
    return std::string(send_message((*pair)[1].get(), bytes_of(byte), fds) ? "" : "send");
  }));
}

TEST_F(UseWatchTest, SeesAUnixSocketWithoutAName) {
  start_pool();
  Netns netns = lease();
  int pair[2] = {-1, -1};
  live_in(netns, [&pair] {
    return std::string(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 ? "socketpair" : "");
  });
  EXPECT_TRUE(netns.as_built());
  // The same in a thread of ours, which is not gone.
  std::string problem = "not run";
  Fd held[2];
  std::thread([&] {
    if (::setns(netns.fd(), CLONE_NEWNET) < 0) return;
    problem = ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? "socketpair" : "";
    held[0] = Fd(pair[0]);
    held[1] = Fd(pair[1]);
  }).join();
  ASSERT_EQ(problem, "");
  EXPECT_FALSE(netns.as_built());
  held[0].reset();
  held[1].reset();
  EXPECT_TRUE(netns.as_built());
}

TEST_F(UseWatchTest, WatchesSubgroupsToo) {
  const auto inner = group_ / "inner";
  ASSERT_EQ(::mkdir(inner.c_str(), 0755), 0);
  start_pool();
  Netns netns = lease();
  const Fd procs(::open((inner / "cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(complaint_inside(netns.fd(),
                             [&] {
                               if (::write(procs.get(), "0", 1) != 1) return std::string("group");
                               return made(::socket(AF_INET, SOCK_STREAM, 0));
                             }),
            "");
  EXPECT_FALSE(netns.as_built());
  EXPECT_EQ(::rmdir(inner.c_str()), 0);
}

TEST_F(UseWatchTest, MarksNoOtherNamespace) {
  start_pool(2);
  Netns used = lease();
  Netns neighbour = lease();
  live_in(used, [] { return made(::socket(AF_INET, SOCK_STREAM, 0)); });
  EXPECT_FALSE(used.as_built());
  EXPECT_TRUE(neighbour.as_built());
}

TEST_F(UseWatchTest, KnowsNothingOfNamespacesItDoesNotWatch) {
  EXPECT_FALSE(watch_->untouched(1));
  ASSERT_TRUE(watch_->add(1));
  EXPECT_FALSE(watch_->add(1)) << "twice";
  EXPECT_TRUE(watch_->untouched(1));
  watch_->remove(1);
  EXPECT_FALSE(watch_->untouched(1));
}

TEST_F(UseWatchTest, ForgetsDestroyedNamespacesAndRefusesTooMany) {
  for (std::uint32_t round = 0; round < 2; ++round) {
    std::vector<WatchedUse> all;
    for (std::uint64_t cookie = 1; cookie <= UseWatch::kMost; ++cookie) {
      auto watched = WatchedUse::begin(watch_, cookie);
      ASSERT_TRUE(watched) << watched.error().describe();
      all.push_back(std::move(*watched));
    }
    EXPECT_FALSE(WatchedUse::begin(watch_, UseWatch::kMost + 1));
    EXPECT_TRUE(all.back().untouched());
  }
  EXPECT_FALSE(watch_->untouched(1));
}

TEST_F(UseWatchTest, WithoutAWatchEachIsUsedOnce) {
  watch_.reset();
  start_pool();
  Netns netns = lease();
  EXPECT_FALSE(netns.as_built());
  pool_->give_back(std::move(netns));
  EXPECT_EQ(pool_->stats().returned, 0U);
  EXPECT_EQ(pool_->stats().burned, 1U);
  EXPECT_EQ(pool_->stats().destroyed, 1U);
}

TEST_F(UseWatchTest, KeepsNoMoreThanHigh) {
  start_pool(1);
  Netns first = lease();
  Netns second = lease();
  ASSERT_TRUE(loop_.until([&] { return pool_->stats().ready == 1; }));
  pool_->give_back(std::move(first));
  pool_->give_back(std::move(second));
  EXPECT_EQ(pool_->stats().ready, 1U);
  EXPECT_EQ(pool_->stats().returned, 0U);
  EXPECT_EQ(pool_->stats().destroyed, 2U);
}

TEST_F(UseWatchTest, AGroupThatIsNoCgroupIsRefused) {
  const Fd folder(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(UseWatch::start(folder.get()));
  EXPECT_FALSE(UseWatch::start(-1));
}

TEST(SocketCensus, RefusesOtherDescriptors) {
  if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  const auto here = own_network_namespace();
  ASSERT_TRUE(here);
  auto own = SocketCensus::open();
  ASSERT_TRUE(own) << own.error().describe();
  EXPECT_TRUE(SocketCensus::adopt(std::move(*own), *here));

  const auto refusal = [&](Fd socket, const NamespaceId& where) {
    auto census = SocketCensus::adopt(std::move(socket), where);
    return census ? "accepted" : census.error().message;
  };
  const std::string kNone = "the descriptor is no sock_diag socket";
  EXPECT_EQ(refusal(Fd(), *here), kNone);
  EXPECT_EQ(refusal(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), *here), kNone);
  EXPECT_EQ(refusal(Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), *here), kNone);
  EXPECT_EQ(refusal(Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), *here),
            kNone);
  own = SocketCensus::open();
  NamespaceId elsewhere = *here;
  ++elsewhere.inode;
  EXPECT_TRUE(refusal(std::move(*own), elsewhere).starts_with("the socket is in net:["));
}

}  // namespace
}  // namespace sock::netns
