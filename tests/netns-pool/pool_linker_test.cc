// How the pool deals with whoever gives its namespaces their links.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/holder_fixture.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::lease;
using testing::Loop;

/// Makes no links, but remembers, and fails on demand.
struct FakeLinker final : Linker {
  boost::asio::awaitable<Result<>> plug(Netns& netns) override {
    if (broken) co_return fail(Code::kRejected, "plug", "no port is free");
    plugged.insert(netns.inode());
    co_return Result<>{};
  }
  boost::asio::awaitable<Result<>> dismiss(Netns& netns) override {
    dismissed.insert(netns.inode());
    if (broken) co_return fail(Code::kInternal, "dismiss", "no way");
    co_return Result<>{};
  }

  bool broken = false;
  std::set<std::uint64_t> plugged;
  std::set<std::uint64_t> dismissed;
};

class PoolLinkerTest : public testing::HolderTest {
 protected:
  void SetUp() override {
    HolderTest::SetUp();
    if (IsSkipped()) return;
    options_ = pool_options(2, 2);
    options_.linker = linker_;
  }

  void start() {
    auto pool = loop_.run(NetnsPool::start(options_));
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  PoolOptions options_;
  std::shared_ptr<FakeLinker> linker_ = std::make_shared<FakeLinker>();
  Loop loop_;
  std::unique_ptr<NetnsPool> pool_;
};

TEST_F(PoolLinkerTest, LinksAreThereBeforeTheLease) {
  start();
  for (int i = 0; i < 5; ++i) {
    const Netns netns = lease(loop_, *pool_);
    EXPECT_TRUE(linker_->plugged.contains(netns.inode()));
    EXPECT_FALSE(linker_->dismissed.contains(netns.inode()));
  }
}

TEST_F(PoolLinkerTest, AStartWithoutLinksSaysWhy) {
  linker_->broken = true;
  const auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_FALSE(pool);
  EXPECT_NE(pool.error().describe().find("no port is free"), std::string::npos);
}

TEST_F(PoolLinkerTest, AWaiterHearsWhyThereIsNoLinkAndTheNextTriesAgain) {
  start();
  linker_->broken = true;
  const Netns first = lease(loop_, *pool_);
  const Netns second = lease(loop_, *pool_);
  const auto refused = loop_.run(pool_->lease());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kRejected);
  EXPECT_NE(refused.error().describe().find("no port is free"), std::string::npos);
  // Slowly: each failure is a namespace built for nothing.
  loop_.settle(Millis{700});
  EXPECT_LT(pool_->stats().builds, 40U);
  linker_->broken = false;
  EXPECT_TRUE(loop_.until([&] { return pool_->stats().ready == 2; }));
}

TEST_F(PoolLinkerTest, ClosesTheLinkOfWhatComesBack) {
  start();
  Netns netns = lease(loop_, *pool_);
  const auto inode = netns.inode();
  pool_->give_back(std::move(netns), "hello@1");
  ASSERT_TRUE(loop_.until([&] { return pool_->stats().burned == 1; }));
  EXPECT_TRUE(linker_->dismissed.contains(inode));
  EXPECT_EQ(pool_->stats().burns.at("used"), 1U) << "without a watch nothing is known to be unused";
}

TEST_F(PoolLinkerTest, BurnsWhatItCannotClose) {
  start();
  Netns netns = lease(loop_, *pool_);
  linker_->broken = true;
  pool_->give_back(std::move(netns));
  ASSERT_TRUE(loop_.until([&] { return pool_->stats().burned == 1; }));
  EXPECT_EQ(pool_->stats().burns.at("link"), 1U);
  EXPECT_NE(pool_->stats().last_error.find("no way"), std::string::npos);
}

TEST_F(PoolLinkerTest, StopsInTheMiddle) {
  start();
  pool_->give_back(lease(loop_, *pool_));
  const Netns more = lease(loop_, *pool_);
  loop_.run(pool_->stop());
  EXPECT_EQ(pool_->stats().ready, 0U);
  EXPECT_EQ(pool_->stats().destroyed + 1, pool_->stats().builds);
}

}  // namespace
}  // namespace sock::netns
