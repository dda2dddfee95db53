// The helper program by its protocol (netns-pool/wire.h).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/message.h"
#include "base/spawn.h"
#include "netns-pool/netns.h"
#include "netns-pool/wire.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::DeathWatch;
using testing::gone_within;
using testing::helper_path;
using testing::hold_user_namespace;
using testing::kPatience;
using testing::missing_rights;

class SockNetnsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  }

  void start(std::vector<std::string> args = {}, int user_namespace = -1) {
    auto sockets = socket_pair(SOCK_SEQPACKET);
    ASSERT_TRUE(sockets);
    SpawnSpec spec;
    spec.program = helper_path();
    spec.args = std::move(args);
    spec.fds = {(*sockets)[1].get()};
    if (user_namespace >= 0) spec.fds.push_back(user_namespace);
    auto process = spawn(spec);
    ASSERT_TRUE(process) << process.error().describe();
    process_ = std::move(*process);
    control_ = std::move((*sockets)[0]);
  }

  void request(std::uint32_t count, Furnish furnish = Furnish::kLoopback) {
    BuildRequest request;
    request.count = count;
    request.furnish = furnish;
    ASSERT_TRUE(send_message(control_.get(), bytes_of(request)));
  }

  /// Size 0 at end of file, and with a test failure after kPatience.
  Received receive(BuildReply& reply) {
    pollfd poll{control_.get(), POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(kPatience.count())) != 1) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    auto received = receive_message(control_.get(), writable_bytes_of(reply));
    return received ? std::move(*received) : Received{};
  }

  int exit_code() {
    EXPECT_TRUE(gone_within(process_.pid(), kPatience));
    const auto exit = process_.try_reap();
    return exit && !exit->signalled ? exit->status : -1;
  }

  Fd control_;
  Process process_;
};

TEST_F(SockNetnsTest, AnswersOneMessageANamespace) {
  auto holder = hold_user_namespace();
  if (!holder) GTEST_SKIP() << holder.error().describe();
  const auto owner = user_namespace_of(holder->pidfd());
  ASSERT_TRUE(owner);
  start({kJoinUserFlag}, holder->pidfd());
  request(5);
  auto live = std::make_shared<LiveNamespaces>();
  std::vector<Netns> built;
  for (int i = 0; i < 5; ++i) {
    BuildReply reply;
    auto received = receive(reply);
    ASSERT_EQ(received.size, sizeof reply);
    ASSERT_EQ(reply.kind, ReplyKind::kBuilt) << to_string(reply.step) << ": " << reply.detail;
    ASSERT_EQ(received.fds.size(), 2U);
    EXPECT_GT(reply.build_us, 0U);
    auto netns = Netns::adopt(std::move(received.fds[0]), *owner, live);
    ASSERT_TRUE(netns) << netns.error().describe();
    EXPECT_EQ(netns->inode(), reply.inode);
    const auto where = namespace_id(netns->fd());
    ASSERT_TRUE(where);
    auto census = SocketCensus::adopt(std::move(received.fds[1]), *where);
    EXPECT_TRUE(census) << census.error().describe();
    built.push_back(std::move(*netns));
  }
  pollfd poll{control_.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&poll, 1, 100), 0) << "an answer too many";
}

TEST_F(SockNetnsTest, AddsARouteSocketWhereItIsAskedFor) {
  auto holder = hold_user_namespace();
  if (!holder) GTEST_SKIP() << holder.error().describe();
  const auto owner = user_namespace_of(holder->pidfd());
  ASSERT_TRUE(owner);
  start({kJoinUserFlag}, holder->pidfd());
  request(1, Furnish::kRoutable);
  BuildReply reply;
  auto received = receive(reply);
  ASSERT_EQ(reply.kind, ReplyKind::kBuilt) << to_string(reply.step) << ": " << reply.detail;
  EXPECT_EQ(reply.companions, kCensusSocket | kRouteSocket);
  ASSERT_EQ(received.fds.size(), 3U);
  auto netns = Netns::adopt(std::move(received.fds[0]), *owner, std::make_shared<LiveNamespaces>());
  ASSERT_TRUE(netns) << netns.error().describe();
  EXPECT_FALSE(netns->take_route(std::move(received.fds[1]))) << "that is the census's";
  EXPECT_EQ(netns->route(), nullptr);
  const auto taken = netns->take_route(std::move(received.fds[2]));
  ASSERT_TRUE(taken) << taken.error().describe();
  const auto links = netns->route()->links();
  ASSERT_TRUE(links) << links.error().describe();
  ASSERT_EQ(links->size(), 1U);
  EXPECT_EQ(links->front().name, "lo");
  EXPECT_EQ(testing::complaint_inside(netns->fd(),
                                      [] {
                                        auto set = read_file(
                                            AT_FDCWD, "/proc/sys/net/ipv4/tcp_orphan_retries");
                                        return set ? *set : set.error().describe();
                                      }),
            "1\n");
}

TEST_F(SockNetnsTest, ARouteSocketOfAnotherNamespaceIsRefused) {
  const auto owner = user_namespace_of(-1);
  ASSERT_TRUE(owner);
  start();
  request(1);
  BuildReply reply;
  auto received = receive(reply);
  ASSERT_EQ(received.fds.size(), 2U) << reply.detail;
  auto netns = Netns::adopt(std::move(received.fds[0]), *owner, std::make_shared<LiveNamespaces>());
  ASSERT_TRUE(netns) << netns.error().describe();
  auto ours = Rtnetlink::open_socket();
  ASSERT_TRUE(ours) << ours.error().describe();
  const auto taken = netns->take_route(std::move(*ours));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Code::kInvalid);
}

TEST_F(SockNetnsTest, KeepsNothingItHasBuiltAlive) {
  auto watch = DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  start();
  request(1);
  BuildReply reply;
  auto received = receive(reply);
  ASSERT_EQ(received.fds.size(), 2U) << reply.detail;
  ASSERT_TRUE(watch->watch(received.fds[0].get()));
  received.fds.clear();
  // No further request: the helper alone could hold it now.
  EXPECT_EQ(watch->alive(kPatience).value_or(99), 0U);
}

TEST_F(SockNetnsTest, LeavesWhenTheSocketCloses) {
  start();
  control_.reset();
  EXPECT_EQ(exit_code(), 0);
}

TEST_F(SockNetnsTest, LeavesInTheMiddleOfABatch) {
  start();
  request(kMaxBatch);
  BuildReply reply;
  ASSERT_EQ(receive(reply).size, sizeof reply);
  control_.reset();
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(SockNetnsTest, RefusesMalformedRequests) {
  BuildRequest none;
  BuildRequest many;
  many.count = kMaxBatch + 1;
  BuildRequest foreign;
  foreign.count = 1;
  foreign.magic = 0;
  BuildRequest strange;
  strange.count = 1;
  strange.furnish = Furnish{2};
  for (const auto& bad : {none, many, foreign, strange}) {
    start();
    ASSERT_TRUE(send_message(control_.get(), bytes_of(bad)));
    EXPECT_EQ(exit_code(), 1);
  }
  start();
  const char half = 'x';
  ASSERT_TRUE(send_message(control_.get(), bytes_of(half)));
  EXPECT_EQ(exit_code(), 1);
  start();
  BuildRequest good;
  good.count = 1;
  const std::array<int, 1> smuggled{control_.get()};
  ASSERT_TRUE(send_message(control_.get(), bytes_of(good), smuggled));
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(SockNetnsTest, SaysWhyItCannotStart) {
  // Our own user namespace: setns(2) refuses to join it again.
  const Fd self(::open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(self);
  start({kJoinUserFlag}, self.get());
  BuildReply reply;
  const auto received = receive(reply);
  ASSERT_EQ(received.size, sizeof reply);
  EXPECT_EQ(reply.kind, ReplyKind::kStartFailed);
  EXPECT_EQ(reply.step, BuildStep::kJoinUser);
  EXPECT_EQ(reply.error, EINVAL);
  EXPECT_EQ(exit_code(), 1);
}

TEST_F(SockNetnsTest, RefusesUnknownArguments) {
  start({"--nonsense"});
  EXPECT_EQ(exit_code(), 2);
}

}  // namespace
}  // namespace sock::netns
