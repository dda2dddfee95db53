// What the pool does with a helper that lies. The fakes are this test program itself, started
// through symbolic links whose names say how to misbehave.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "base/message.h"
#include "netns-pool/netns_pool.h"
#include "netns-pool/wire.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {
namespace {

using testing::exists;
using testing::hold_user_namespace;
using testing::Loop;
using testing::missing_rights;
using testing::open_descriptors;

constexpr std::string_view kFakePrefix = "fake-netns-";

Fd own_netns() { return Fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)); }

std::uint64_t inode_of(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 ? status.st_ino : 0;
}

/// One answer to one wanted namespace, in the way of `mode`.
void answer(std::string_view mode) {
  if (mode == "exit") ::_exit(0);
  if (mode == "silent") return;
  BuildReply reply;
  if (mode == "short") {
    (void)send_message(kControlFd, bytes_of(reply).first(5));
    return;
  }
  if (mode == "long") {
    const std::array<std::byte, 4096> much{};
    (void)send_message(kControlFd, much);
    return;
  }
  if (mode == "companions") reply.companions = kRouteSocket;  // none comes with it
  if (mode == "kind") reply.kind = ReplyKind{99};
  if (mode == "step" || mode == "fail") {
    reply.kind = ReplyKind::kBuildFailed;
    reply.step = mode == "fail" ? BuildStep::kUnshare : BuildStep{77};
    reply.error = ENOSPC;
    std::memset(reply.detail, 0x1b, sizeof reply.detail);  // escapes, and no end
  }
  if (mode == "kind" || mode == "step" || mode == "fail" || mode == "no-fd") {
    (void)send_message(kControlFd, bytes_of(reply));
    return;
  }
  Fd fd;
  if (mode == "file") {
    fd = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } else if (mode == "uts") {
    fd = Fd(::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  } else {
    // "host" stays where the pool is; "same" builds one and sends it for ever.
    static bool moved = false;
    if (mode != "host" && !(mode == "same" && moved)) {
      (void)::unshare(CLONE_NEWNET);
      moved = true;
    }
    fd = own_netns();
  }
  reply.inode = inode_of(fd) + (mode == "inode" ? 1 : 0);
  const std::array<int, 3> fds{fd.get(), fd.get(), fd.get()};
  const std::size_t count = mode == "three-fds" ? 3 : 1;
  (void)send_message(kControlFd, bytes_of(reply), std::span(fds).first(count));
}

__attribute__((constructor)) void become_fake_helper(int argc, char** argv, char** /*env*/) {
  if (argc < 1 || !std::string_view(argv[0]).starts_with(kFakePrefix)) return;
  const auto mode = std::string_view(argv[0]).substr(kFakePrefix.size());
  for (;;) {
    BuildRequest request;
    auto received = receive_message(kControlFd, writable_bytes_of(request));
    if (!received || received->size == 0) ::_exit(0);
    if (mode == "extra") {
      // Right in everything but the number of answers.
      for (std::uint32_t i = 0; i <= request.count; ++i) answer("good");
    } else {
      for (std::uint32_t i = 0; i < request.count; ++i) answer(mode);
    }
  }
}

struct Lie {
  const char* mode;
  const char* noticed;  ///< in the error
};

class FakeHelperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
    std::string folder = (std::filesystem::temp_directory_path() / "sock-fake-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    options_.low = 4;
    options_.high = 4;
    options_.answer_timeout = Millis{300};
    options_.place_helper = [this](pid_t pid) -> Result<> {
      helpers_.push_back(pid);
      return {};
    };
  }
  void TearDown() override {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  void pretend(const std::string& mode) {
    const auto link = folder_ / (std::string(kFakePrefix) + mode);
    std::filesystem::create_symlink(std::filesystem::read_symlink("/proc/self/exe"), link);
    options_.helper = link.string();
  }

  std::filesystem::path folder_;
  PoolOptions options_;
  std::vector<pid_t> helpers_;
  Loop loop_;
};

class LyingHelperTest : public FakeHelperTest, public ::testing::WithParamInterface<Lie> {};

TEST_P(LyingHelperTest, IsRefused) {
  pretend(GetParam().mode);
  const std::size_t before = open_descriptors();
  auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_FALSE(pool);
  const std::string error = pool.error().describe();
  EXPECT_NE(error.find(GetParam().noticed), std::string::npos) << error;
  for (const char c : error) EXPECT_TRUE(c >= ' ' && c <= '~') << int{c};
  ASSERT_FALSE(helpers_.empty());
  for (const pid_t pid : helpers_) EXPECT_FALSE(exists(pid));
  EXPECT_EQ(open_descriptors(), before);
}

INSTANTIATE_TEST_SUITE_P(
    Lies, LyingHelperTest,
    ::testing::Values(Lie{"exit", "the peer is gone"}, Lie{"silent", "no answer within 300 ms"},
                      Lie{"short", "5 bytes instead of"}, Lie{"long", "Message too long"},
                      Lie{"kind", "contradictory fields"}, Lie{"step", "contradictory fields"},
                      Lie{"fail", "sysctl user.max_net_namespaces"}, Lie{"no-fd", "0 descriptors"},
                      Lie{"three-fds", "3 descriptors"},
                      Lie{"companions", "1 descriptors instead of 2"},
                      Lie{"file", "is not a namespace"}, Lie{"uts", "is not a network namespace"},
                      Lie{"host", "in use already"}, Lie{"same", "in use already"},
                      Lie{"inode", "as net:["}),
    [](const auto& lie) {
      std::string name = lie.param.mode;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

TEST_F(FakeHelperTest, NamespacesOfAnotherOwnerAreRefused) {
  auto holder = hold_user_namespace();
  if (!holder) GTEST_SKIP() << holder.error().describe();
  pretend("good");  // builds real ones, but joins no user namespace
  options_.user_namespace = holder->pidfd();
  auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_FALSE(pool);
  EXPECT_NE(pool.error().describe().find("belongs to user:["), std::string::npos)
      << pool.error().describe();
}

TEST_F(FakeHelperTest, ANamespaceWithoutTheRouteSocketAskedForIsRefused) {
  pretend("good");
  options_.furnish = Furnish::kRoutable;
  auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_FALSE(pool);
  EXPECT_NE(pool.error().describe().find("no rtnetlink socket"), std::string::npos)
      << pool.error().describe();
}

TEST_F(FakeHelperTest, TheFakeThatDoesNotLieIsAccepted) {
  pretend("good");
  auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_TRUE(pool) << pool.error().describe();
  EXPECT_EQ((*pool)->stats().ready, 4U);
  EXPECT_EQ((*pool)->stats().failures, 0U);
}

TEST_F(FakeHelperTest, AnswersWithoutARequestEndTheHelperAndKeepTheStock) {
  pretend("extra");
  auto pool = loop_.run(NetnsPool::start(options_));
  ASSERT_TRUE(pool) << pool.error().describe();
  ASSERT_TRUE(loop_.until([&] { return (*pool)->stats().failures > 0; }));
  EXPECT_NE((*pool)->stats().last_error.find("without a request"), std::string::npos)
      << (*pool)->stats().last_error;
  EXPECT_EQ((*pool)->stats().ready, 4U);
}

}  // namespace
}  // namespace sock::netns
