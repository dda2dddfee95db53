#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/frame.h"
#include "base/message.h"
#include "base/spawn.h"
#include "sandbox/keeper.h"
#include "sandbox/seccomp_policy.h"
#include "tests/support/run.h"
#include "zygote/wire.h"
#include "zygote/zygote.h"

namespace sock::zygote {

/// Real zygotes below a real keeper, and clones of them that do as little as possible.
class SealTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    folder_ = program_folder().value() + "/";
    // Not below /tmp: a zygote has a /tmp of its own.
    char name[] = "/run/sock-seal-test-XXXXXX";
    modules_ = ::mkdtemp(name);
    std::filesystem::permissions(modules_, std::filesystem::perms{0755});
    sandbox::KeeperOptions options;
    options.program = folder_ + "sock-init";
    options.root.binds.push_back(modules_);
    if (std::filesystem::exists(kPackages)) options.root.binds.push_back(kPackages);
    auto keeper = run(sandbox::Keeper::start(std::move(options)));
    ASSERT_TRUE(keeper) << keeper.error().describe();
    keeper_ = std::move(*keeper);
  }

  void TearDown() override {
    if (!modules_.empty()) std::filesystem::remove_all(modules_);
  }

  template <class T>
  T run(boost::asio::awaitable<T> coroutine) {
    return test_support::run(loop_, std::move(coroutine));
  }

  void write_module(const std::string& name, const std::string& source) {
    std::ofstream(modules_ / (name + ".py")) << source;
  }

  Result<std::unique_ptr<Zygote>> start(std::vector<std::string> modules = {}, bool seal = true) {
    ZygoteOptions options;
    options.program = folder_ + "sock-zygote";
    options.keeper = keeper_->pidfd();
    options.config.search_path = {"/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload",
                                  kPackages, modules_.string()};
    options.config.modules = std::move(modules);
    options.config.filter = sandbox::compile_seccomp_policy().value();
    options.config.seal = seal;
    return run(Zygote::start(std::move(options)));
  }

  Result<std::unique_ptr<Zygote>> fork_child(Zygote& parent, std::vector<std::string> modules,
                                             bool seal = true) {
    ZygoteConfig additions;
    additions.modules = std::move(modules);
    additions.seal = seal;
    return run(parent.fork_child(std::move(additions), Millis(60'000)));
  }

  /// An empty sandbox; any number of the clones below may be born in one.
  sandbox::Shell shell() {
    const Fd net(::open(("/proc/" + std::to_string(keeper_->pid()) + "/ns/net").c_str(),
                        O_RDONLY | O_CLOEXEC));
    auto shell = run(keeper_->build_shell(net.get(), 1 << 20));
    EXPECT_TRUE(shell) << shell.error().describe();
    return std::move(*shell);
  }

  /// A clone that joins the shell, finds its connection closed and exits: the least a clone can do.
  Result<Process> least_clone(Zygote& zygote, const sandbox::Shell& shell) {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto sockets = socket_pair(SOCK_STREAM);
    (*sockets)[0].reset();
    CloneArguments arguments;
    arguments.shell = shell.pidfd();
    arguments.connection = (*sockets)[1].get();
    arguments.log = null.get();
    arguments.await_go = true;
    arguments.uid = 1000;
    return run(zygote.clone(arguments));
  }

  struct Parked {
    Process process;
    Fd connection;
  };

  /// A clone that is ready for its call.
  Parked parked_clone(Zygote& zygote, const sandbox::Shell& shell) {
    const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    auto sockets = socket_pair(SOCK_STREAM);
    CloneArguments arguments;
    arguments.shell = shell.pidfd();
    arguments.connection = (*sockets)[1].get();
    arguments.log = null.get();
    arguments.uid = 1000;
    auto process = run(zygote.clone(arguments));
    EXPECT_TRUE(process) << process.error().describe();
    (*sockets)[1].reset();
    FrameHeader header{};
    EXPECT_TRUE(read_exactly((*sockets)[0].get(), &header, sizeof header));
    EXPECT_EQ(header.type, static_cast<std::uint32_t>(FrameType::kParked));
    return {std::move(*process), std::move((*sockets)[0])};
  }

  static constexpr const char* kPackages = "/usr/lib/python3/dist-packages";

  boost::asio::io_context loop_;
  std::string folder_;
  std::filesystem::path modules_;
  std::unique_ptr<sandbox::Keeper> keeper_;
};

}  // namespace sock::zygote
