#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include "base/file.h"
#include "base/process.h"

namespace sock {
namespace {

bool knows_its_own_pid() {
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  return pid_of(self.get()).value_or(-1) == ::getpid();
}

TEST(PidOf, ReadsTheNumberWithAndWithoutTheIoctl) {
  EXPECT_TRUE(knows_its_own_pid());
  const pid_t pid = ::fork();
  if (pid == 0) {
    // A kernel whose pidfds answer no ioctl.
    std::array program{
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_ioctl},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOTTY},
        sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
    };
    const sock_fprog filter{program.size(), program.data()};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) < 0) {
      ::_exit(2);
    }
    ::_exit(knows_its_own_pid() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
}

TEST(PidfdInfo, TellsTheCgroup) {
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  const auto info = pidfd_info(self.get());
  if (!info) GTEST_SKIP() << "the kernel has no PIDFD_GET_INFO";
  EXPECT_EQ(info->pid, ::getpid());
  const std::string groups = "\n" + read_file(AT_FDCWD, "/proc/self/cgroup").value_or("");
  const auto at = groups.find("\n0::");
  if (at == std::string::npos) GTEST_SKIP() << "there is no cgroup v2";
  const auto path = groups.substr(at + 4, groups.find('\n', at + 1) - at - 4);
  struct stat folder {};
  const bool found = ::stat(("/sys/fs/cgroup/unified" + path).c_str(), &folder) == 0 ||
                     ::stat(("/sys/fs/cgroup" + path).c_str(), &folder) == 0;
  if (!found) GTEST_SKIP() << "cgroup v2 is mounted elsewhere";
  EXPECT_EQ(info->cgroup_id, folder.st_ino);
}

TEST(PidOf, FailsForTheReapedAndForOtherDescriptors) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  EXPECT_EQ(pid_of(pidfd.get()).value_or(-1), pid) << "a zombie has its number still";
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_FALSE(pid_of(pidfd.get()));
  EXPECT_FALSE(pid_of(STDIN_FILENO));
  EXPECT_FALSE(pid_of(-1));
}

}  // namespace
}  // namespace sock
