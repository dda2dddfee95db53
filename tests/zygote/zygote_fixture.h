#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/frame.h"
#include "base/spawn.h"
#include "sandbox/keeper.h"
#include "sandbox/seccomp_policy.h"
#include "sandbox/verify.h"
#include "tests/support/run.h"
#include "zygote/wire.h"
#include "zygote/zygote.h"

namespace sock::zygote {

using test_support::run;

/// Real zygotes below a real keeper, and calls of clones in sandboxes.
class ZygoteTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    folder_ = program_folder().value() + "/";
    // Not below /tmp: a zygote has a /tmp of its own.
    char name[] = "/run/sock-zygote-test-XXXXXX";
    task_ = ::mkdtemp(name);
    ASSERT_EQ(::chmod(task_.c_str(), 0755), 0);
    sandbox::KeeperOptions options;
    options.program = folder_ + "sock-init";
    options.root.binds.push_back(task_);
    auto keeper = run(loop_, sandbox::Keeper::start(std::move(options)));
    ASSERT_TRUE(keeper) << keeper.error().describe();
    keeper_ = std::move(*keeper);
  }

  void TearDown() override {
    if (!task_.empty()) std::filesystem::remove_all(task_);
  }

  ZygoteOptions options(std::vector<std::string> modules = {}) {
    ZygoteOptions options;
    options.program = folder_ + "sock-zygote";
    options.keeper = keeper_->pidfd();
    options.config.search_path = {"/usr/lib/python3.11", "/usr/lib/python3.11/lib-dynload",
                                  task_.string()};
    options.config.modules = std::move(modules);
    options.config.filter = sandbox::compile_seccomp_policy().value();
    return options;
  }

  static sandbox::Subject subject(int pidfd) { return {pid_of(pidfd).value(), pidfd}; }

  static ino_t inode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_ino;
  }

  /// Of the innermost of its pid namespaces.
  static bool is_first_process(int pidfd) {
    const auto status =
        read_file(AT_FDCWD, "/proc/" + std::to_string(subject(pidfd).pid) + "/status").value_or("");
    const auto at = status.find("\nNSpid:");
    return at != std::string::npos &&
           status.substr(at + 1, status.find('\n', at + 1) - at - 1).ends_with("\t1");
  }

  struct Confined {
    sandbox::Shell shell;
    Process process;
    Fd connection;
    Fd log;
  };

  /// A parked clone. The sandbox joins the keeper's own network namespace: pooled ones have tests
  /// of their own.
  Confined make(Zygote& zygote, std::uint32_t uid) {
    const Fd net(::open(("/proc/" + std::to_string(keeper_->pid()) + "/ns/net").c_str(),
                        O_RDONLY | O_CLOEXEC));
    auto shell = run(loop_, keeper_->build_shell(net.get(), 1 << 20));
    EXPECT_TRUE(shell) << shell.error().describe();
    auto sockets = socket_pair(SOCK_STREAM);
    int pipe[2];
    EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
    const Fd log_end(pipe[1]);
    CloneArguments arguments;
    arguments.shell = shell->pidfd();
    arguments.connection = (*sockets)[1].get();
    arguments.log = log_end.get();
    arguments.uid = uid;
    auto process = run(loop_, zygote.clone(arguments));
    EXPECT_TRUE(process) << process.error().describe();
    (*sockets)[1].reset();
    return {std::move(*shell), std::move(*process), std::move((*sockets)[0]), Fd(pipe[0])};
  }

  /// What a clone with this id in this sandbox must be.
  sandbox::Expectation expectation(const Confined& sandbox, std::uint32_t uid) {
    const std::string keeper = "/proc/" + std::to_string(keeper_->pid()) + "/ns/";
    sandbox::Expectation expected;
    expected.host_uid = keeper_->id_base() + uid;
    expected.shell = subject(sandbox.shell.pidfd());
    expected.network = inode_of(keeper + "net");
    expected.user = inode_of(keeper + "user");
    return expected;
  }

  static FrameType read_type(int connection, std::string& payload) {
    FrameHeader header;
    if (!read_exactly(connection, &header, sizeof header)) return FrameType{};
    payload.resize(header.length);
    if (!read_exactly(connection, payload.data(), payload.size())) return FrameType{};
    return static_cast<FrameType>(header.type);
  }

  Result<> attach(Confined& clone, std::string_view resolv_conf = {}) {
    auto task = sandbox::task_mount(task_.string());
    if (!task) return std::unexpected(task.error());
    const auto deadline = Clock::now() + Millis(2000);
    sandbox::Attachments attachments{.task = std::move(*task),
                                     .tmp_bytes = 1 << 20,
                                     .tmp_inodes = 4096,
                                     .resolv_conf = resolv_conf};
    return run(loop_, clone.shell.attach(std::move(attachments), deadline));
  }

  std::string call(Confined& clone, const std::string& source, const std::string& event,
                   std::string_view resolv_conf = {}) {
    std::ofstream(task_ / "handler.py") << source;
    const auto attached = attach(clone, resolv_conf);
    EXPECT_TRUE(attached) << attached.error().describe();
    const std::string handler = "handler.handler", name = "test", id = "id-1";
    CallHeader call;
    call.handler_length = static_cast<std::uint32_t>(handler.size());
    call.function_length = static_cast<std::uint32_t>(name.size());
    call.id_length = static_cast<std::uint32_t>(id.size());
    call.event_length = event.size();
    std::string payload(reinterpret_cast<const char*>(&call), sizeof call);
    payload += handler + name + id + event;
    const FrameHeader header{FrameHeader::kMagic, static_cast<std::uint32_t>(FrameType::kCall),
                             payload.size()};
    EXPECT_TRUE(write_exactly(clone.connection.get(), &header, sizeof header));
    EXPECT_TRUE(write_exactly(clone.connection.get(), payload.data(), payload.size()));
    std::string reply;
    const FrameType type = read_type(clone.connection.get(), reply);
    EXPECT_TRUE(type == FrameType::kResult || type == FrameType::kRaised);
    return reply.size() < sizeof(ResultHeader) ? "" : reply.substr(sizeof(ResultHeader));
  }

  boost::asio::io_context loop_;
  std::string folder_;
  std::filesystem::path task_;
  std::unique_ptr<sandbox::Keeper> keeper_;
};

}  // namespace sock::zygote
