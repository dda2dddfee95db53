#include "sandbox/host.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"

namespace sock::sandbox {
namespace {

const HostCheck& named(const std::vector<HostCheck>& checks, const std::string& name) {
  static const HostCheck none{"absent", HostCheck::kFail, "no such check", ""};
  const auto at = std::ranges::find(checks, name, &HostCheck::name);
  return at == checks.end() ? none : *at;
}

/// Runs `body` in a child, where privileges can be given up, and returns its exit code.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST(KernelRelease, ReadsWhatDistributionsWrite) {
  EXPECT_EQ(parse_kernel_release("6.1.0-13-amd64"), (KernelVersion{6, 1}));
  EXPECT_EQ(parse_kernel_release("5.14"), (KernelVersion{5, 14}));
  EXPECT_EQ(parse_kernel_release("6.18.44-cloud-amd64"), (KernelVersion{6, 18}));
  EXPECT_EQ(parse_kernel_release("10.0-rc1"), (KernelVersion{10, 0}));
}

TEST(KernelRelease, RefusesWhatIsNone) {
  for (const char* text : {"", "6", "6.", ".1", "six.one", "-6.1", "99999999999.1", "6,1"}) {
    EXPECT_FALSE(parse_kernel_release(text)) << text;
  }
}

TEST(KernelRelease, OrdersByNumber) {
  EXPECT_LT((KernelVersion{5, 9}), (KernelVersion{5, 14}));
  EXPECT_LT((KernelVersion{5, 14}), (KernelVersion{6, 1}));
}

TEST(Host, EveryCheckSaysWhatItFoundAndWhatToDo) {
  const auto checks = probe_host("sock");
  const std::vector<std::string> expected{
      "privilege",      "kernel",  "process-api", "mount-api", "cgroup",     "user-namespaces",
      "net-namespaces", "seccomp", "tid-address", "landlock",  "interpreter"};
  ASSERT_EQ(checks.size(), expected.size());
  for (std::size_t i = 0; i < checks.size(); ++i) {
    EXPECT_EQ(checks[i].name, expected[i]);
    EXPECT_FALSE(checks[i].detail.empty()) << checks[i].name;
    if (checks[i].status == HostCheck::kWarn) {
      EXPECT_FALSE(checks[i].advice.empty()) << checks[i].name;
    }
    SCOPED_TRACE(checks[i].name + ": " + checks[i].detail);
    RecordProperty(checks[i].name, std::string(to_string(checks[i].status)));
  }
}

TEST(Host, AMachineThatRunsTheseTestsAsRootCanRunSandboxes) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  for (const auto& check : probe_host("sock")) {
    EXPECT_NE(check.status, HostCheck::kFail) << check.name << ": " << check.detail;
  }
}

TEST(Host, ABadCgroupParentIsNamed) {
  const auto checks = probe_host("../escape");
  EXPECT_EQ(named(checks, "cgroup").status, HostCheck::kFail);
  EXPECT_NE(named(checks, "cgroup").detail.find("../escape"), std::string::npos);
}

TEST(Host, WithoutRootThePrivilegeFails) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  const int failed = in_child([] {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) return 2;
    const auto checks = probe_host("sock");
    return named(checks, "privilege").status == HostCheck::kFail &&
                   named(checks, "mount-api").status == HostCheck::kFail &&
                   named(checks, "kernel").status == HostCheck::kOk
               ? 0
               : 1;
  });
  EXPECT_EQ(failed, 0);
}

TEST(Host, AForbiddenUserNamespaceIsFound) {
  if (::geteuid() != 0) GTEST_SKIP() << "not root";
  // A chrooted process may not create a user namespace (user_namespaces(7), EPERM).
  const int failed = in_child([] {
    char folder[] = "/tmp/sock-host-test-XXXXXX";
    if (::mkdtemp(folder) == nullptr) return 2;
    const bool inside = ::chroot(folder) == 0;
    const auto checks = probe_host("sock");
    // Back out through the working directory, which chroot(2) leaves where it was.
    for (int i = 0; i < 32; ++i) (void)!::chdir("..");
    (void)!::chroot(".");
    ::rmdir(folder);
    if (!inside) return 3;
    const auto& check = named(checks, "user-namespaces");
    return check.status == HostCheck::kFail && check.detail.find("permitted") != std::string::npos
               ? 0
               : 1;
  });
  EXPECT_EQ(failed, 0);
}

TEST(Host, ProbingLeavesNothingBehind) {
  const auto mounts = read_file(AT_FDCWD, "/proc/self/mountinfo", 64U << 20);
  const auto groups = read_file(AT_FDCWD, "/proc/self/cgroup");
  const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(descriptor);
  for (int i = 0; i < 5; ++i) (void)probe_host("sock-host-test");
  EXPECT_EQ(read_file(AT_FDCWD, "/proc/self/mountinfo", 64U << 20).value(), mounts.value());
  EXPECT_EQ(read_file(AT_FDCWD, "/proc/self/cgroup").value(), groups.value());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1) << "a child is left";
  const int again = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(again, descriptor) << "a descriptor is left open";
  ::close(again);
}

}  // namespace
}  // namespace sock::sandbox
