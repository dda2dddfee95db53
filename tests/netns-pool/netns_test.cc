#include "netns-pool/netns.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <thread>

#include "base/file.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::hold_user_namespace;
using testing::missing_rights;

class NetnsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    auto own = user_namespace_of(-1);
    ASSERT_TRUE(own) << own.error().describe();
    owner_ = *own;
    std::thread([this] {
      if (::unshare(CLONE_NEWNET) < 0) return;
      fresh_ = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
    ASSERT_TRUE(fresh_);
  }

  [[nodiscard]] std::string refusal(Fd fd) const {
    auto adopted = Netns::adopt(std::move(fd), owner_, live_);
    return adopted ? "accepted" : adopted.error().describe();
  }

  NamespaceId owner_;
  std::shared_ptr<LiveNamespaces> live_ = std::make_shared<LiveNamespaces>();
  Fd fresh_;
};

TEST_F(NetnsTest, AdoptsANetworkNamespaceOfTheOwner) {
  const auto id = namespace_id(fresh_.get());
  ASSERT_TRUE(id);
  auto netns = Netns::adopt(fresh_.duplicate(), owner_, live_);
  ASSERT_TRUE(netns) << netns.error().describe();
  EXPECT_EQ(netns->inode(), id->inode);
  EXPECT_GE(netns->fd(), 0);
}

TEST_F(NetnsTest, RefusesOneInUseUntilItIsDestroyed) {
  {
    auto first = Netns::adopt(fresh_.duplicate(), owner_, live_);
    ASSERT_TRUE(first);
    EXPECT_NE(refusal(fresh_.duplicate()).find("in use already"), std::string::npos);
    Netns moved = std::move(*first);
    EXPECT_EQ(first->fd(), -1);
    EXPECT_NE(refusal(fresh_.duplicate()).find("in use already"), std::string::npos);
  }
  EXPECT_EQ(refusal(fresh_.duplicate()), "accepted");
}

TEST_F(NetnsTest, RefusesOtherKindsOfDescriptors) {
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_NE(refusal(std::move(null)).find("is not a namespace"), std::string::npos);
  Fd uts(::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  EXPECT_NE(refusal(std::move(uts)).find("is not a network namespace"), std::string::npos);
  EXPECT_NE(refusal(Fd()), "accepted");
}

TEST_F(NetnsTest, RefusesAnotherUserNamespacesOwn) {
  auto holder = hold_user_namespace();
  if (!holder) GTEST_SKIP() << holder.error().describe();
  auto other = user_namespace_of(holder->pidfd());
  ASSERT_TRUE(other) << other.error().describe();
  ASSERT_NE(*other, owner_);
  owner_ = *other;
  EXPECT_NE(refusal(fresh_.duplicate()).find("belongs to user:["), std::string::npos);
}

TEST_F(NetnsTest, DeadProcessHasNoUserNamespace) {
  auto holder = hold_user_namespace();
  if (!holder) GTEST_SKIP() << holder.error().describe();
  Fd pidfd(::fcntl(holder->pidfd(), F_DUPFD_CLOEXEC, 3));
  holder->kill_and_reap();
  EXPECT_FALSE(user_namespace_of(pidfd.get()));
}

}  // namespace
}  // namespace sock::netns
