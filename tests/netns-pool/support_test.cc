// The support for the tests of this folder, and the tests that it notices what it is there to
// notice.
#include "tests/netns-pool/support.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/message.h"
#include "base/spawn.h"

namespace sock::netns::testing {

Result<Process> hold_user_namespace() {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWUSER | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;) ::pause();
  }
  if (pid < 0) return fail_errno("clone3", "user namespace holder");
  Process process(Fd(pidfd), static_cast<pid_t>(pid));
  for (const char* map : {"uid_map", "gid_map"}) {
    auto written =
        write_control(AT_FDCWD, "/proc/" + std::to_string(pid) + "/" + map, "0 100000 65536");
    if (!written) return std::unexpected(written.error());
  }
  return process;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    (void)entry;
    ++count;
  }
  return count;
}

bool exists(pid_t pid) { return ::access(("/proc/" + std::to_string(pid)).c_str(), F_OK) == 0; }

bool gone_within(pid_t pid, Millis patience) {
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return errno == ESRCH;
  pollfd poll{pidfd.get(), POLLIN, 0};
  return ::poll(&poll, 1, static_cast<int>(patience.count())) == 1;
}

std::string complaint_inside(int netns, const std::function<std::string()>& body) {
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) return sockets.error().describe();
  const pid_t pid = ::fork();
  if (pid < 0) return "fork failed";
  if (pid == 0) {
    std::string text = ::setns(netns, CLONE_NEWNET) < 0 ? "setns failed" : body();
    text += '.';  // an empty message would be end of file
    const auto sent = send_message((*sockets)[1].get(), std::as_bytes(std::span(text)));
    ::_exit(sent ? 0 : 1);
  }
  (*sockets)[1].reset();
  std::array<char, 1024> buffer{};
  pollfd poll{(*sockets)[0].get(), POLLIN, 0};
  std::string text = "no answer from the child";
  if (::poll(&poll, 1, static_cast<int>(kPatience.count())) == 1) {
    auto received = receive_message((*sockets)[0].get(), std::as_writable_bytes(std::span(buffer)));
    if (received && received->size > 0) text.assign(buffer.data(), received->size - 1);
  }
  ::kill(pid, SIGKILL);  // our own unreaped child: the number cannot be another's
  ::waitpid(pid, nullptr, 0);
  return text;
}

std::string missing_rights() {
  bool able = false;
  std::thread([&] { able = ::unshare(CLONE_NEWNET) == 0; }).join();
  return able ? "" : "needs the right to create network namespaces (root)";
}

std::string helper_path() { return program_folder().value_or(".") + "/sock-netns"; }

namespace {

Fd new_netns() {
  Fd fd;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) == 0) {
      fd = Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }
  }).join();
  return fd;
}

TEST(DeathWatch, SeesANamespaceLiveAndDie) {
  if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  auto watch = DeathWatch::create();
  ASSERT_TRUE(watch) << watch.error().describe();
  Fd netns = new_netns();
  ASSERT_TRUE(netns);
  const auto watched = watch->watch(netns.get());
  ASSERT_TRUE(watched) << watched.error().describe();
  EXPECT_EQ(watch->alive(Millis{100}).value_or(99), 1U);
  netns.reset();
  EXPECT_EQ(watch->alive(kPatience).value_or(99), 0U);
}

TEST(ComplaintInside, ReportsWhatTheChildSays) {
  if (const auto missing = missing_rights(); !missing.empty()) GTEST_SKIP() << missing;
  const Fd netns = new_netns();
  ASSERT_TRUE(netns);
  EXPECT_EQ(complaint_inside(netns.get(), [] { return std::string("broken"); }), "broken");
  EXPECT_EQ(complaint_inside(netns.get(), [] { return std::string(); }), "");
  EXPECT_EQ(complaint_inside(-1, [] { return std::string(); }), "setns failed");
}

}  // namespace
}  // namespace sock::netns::testing
