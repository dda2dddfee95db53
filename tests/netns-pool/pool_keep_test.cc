// Namespaces that were used and go back to the function that used them.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <vector>

#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/holder_fixture.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::complaint_inside;
using testing::lease;
using testing::Loop;

/// Connects to itself and closes the client's end first: the kernel remembers that, unless the
/// connection is reset.
std::string talk(bool reset) {
  const Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(server.get(), raw, size) < 0 || ::listen(server.get(), 1) < 0 ||
      ::getsockname(server.get(), raw, &size) < 0) {
    return "cannot listen";
  }
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(client.get(), raw, size) < 0) return "cannot connect";
  const Fd accepted(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) return "cannot accept";
  const linger abort{1, 0};
  if (reset) ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  client.reset();
  char byte = 0;
  (void)::recv(accepted.get(), &byte, 1, 0);  // until the client's end is known here
  return "";
}

class PoolKeepTest : public testing::HolderTest {
 protected:
  void SetUp() override {
    HolderTest::SetUp();
    if (IsSkipped()) return;
    auto options = pool_options(2, 3);
    options.keep_for_owner = true;
    auto pool = loop_.run(NetnsPool::start(std::move(options)));
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  /// What became of one namespace used by `owner`, and which it was.
  std::uint64_t use(const std::string& owner, bool reset = true) {
    auto netns = loop_.run(pool_->lease(owner));
    EXPECT_TRUE(netns) << netns.error().describe();
    if (!netns) return 0;
    const auto inode = netns->inode();
    EXPECT_EQ(complaint_inside(netns->fd(), [reset] { return talk(reset); }), "");
    const auto before = done();
    pool_->give_back(std::move(*netns), owner);
    EXPECT_TRUE(loop_.until([&] { return done() > before; }));
    return inode;
  }

  std::uint64_t done() const { return pool_->stats().returned + pool_->stats().destroyed; }

  Loop loop_;
  std::unique_ptr<NetnsPool> pool_;
};

TEST_F(PoolKeepTest, TheSameOwnerHasACleanOneAgain) {
  const auto first = use("hello@1");
  EXPECT_TRUE(pool_->keeps_for("hello@1")) << ::testing::PrintToString(pool_->stats().burns);
  EXPECT_EQ(pool_->stats().kept, 1U);
  EXPECT_EQ(use("hello@1"), first);
  EXPECT_EQ(use("hello@1"), first);
  EXPECT_EQ(pool_->stats().burned, 0U);
}

TEST_F(PoolKeepTest, NobodyElseEverHasIt) {
  const auto first = use("hello@1");
  ASSERT_TRUE(pool_->keeps_for("hello@1"));
  for (const char* other : {"hello@2", "other@1", "hello", ""}) {
    EXPECT_FALSE(pool_->keeps_for(other));
    for (int i = 0; i < 5; ++i) EXPECT_NE(use(other), first) << other;
  }
}

TEST_F(PoolKeepTest, OneWithARememberedConnectionIsBurned) {
  const auto first = use("hello@1", false);
  EXPECT_FALSE(pool_->keeps_for("hello@1"));
  EXPECT_EQ(pool_->stats().burns.at("time_wait"), 1U);
  EXPECT_NE(use("hello@1"), first);
}

TEST_F(PoolKeepTest, OneWithoutAnOwnerIsBurned) {
  use("");
  EXPECT_EQ(pool_->stats().burns.at("used"), 1U);
  EXPECT_EQ(pool_->stats().kept, 0U);
}

TEST_F(PoolKeepTest, KeepsNoMoreThanHigh) {
  std::vector<Netns> leased;
  for (int i = 0; i < 5; ++i) {
    leased.push_back(std::move(*loop_.run(pool_->lease("hello@1"))));
    ASSERT_EQ(complaint_inside(leased.back().fd(), [] { return talk(true); }), "");
  }
  for (auto& netns : leased) pool_->give_back(std::move(netns), "hello@1");
  ASSERT_TRUE(loop_.until([&] { return done() == 5; }));
  EXPECT_EQ(pool_->stats().kept, 3U);
  EXPECT_EQ(pool_->stats().destroyed, 2U);
}

TEST_F(PoolKeepTest, StopsWhileItLooks) {
  auto netns = loop_.run(pool_->lease("hello@1"));
  ASSERT_TRUE(netns);
  pool_->give_back(std::move(*netns), "hello@1");
  loop_.run(pool_->stop());
  EXPECT_EQ(pool_->stats().kept, 0U);
  EXPECT_EQ(pool_->stats().destroyed, pool_->stats().builds);
}

}  // namespace
}  // namespace sock::netns
