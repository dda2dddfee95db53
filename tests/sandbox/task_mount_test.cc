#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <string>

#include "sandbox/mount_api.h"
#include "sandbox/rootfs.h"

namespace sock::sandbox {
namespace {

/// In a mount namespace of its own, whose every mount is shared, as on most hosts. Says what is
/// wrong by its number, as an exit status; 0 is nothing.
int look_at_task_mount() {
  if (::unshare(CLONE_NEWNS) < 0 || ::mount("tmpfs", "/tmp", "tmpfs", 0, nullptr) < 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) < 0 ||
      ::mkdir("/tmp/task", 0755) < 0 || ::mkdir("/tmp/task/below", 0755) < 0) {
    return 1;
  }
  const auto task = task_mount("/tmp/task");
  if (!task) return 2;
  struct statvfs mounted {};
  constexpr unsigned long kWanted = ST_RDONLY | ST_NOSUID | ST_NODEV;
  if (::fstatvfs(task->get(), &mounted) < 0 || (mounted.f_flag & kWanted) != kWanted) return 3;
  if (::mkdirat(task->get(), "more", 0755) == 0 || errno != EROFS) return 4;
  // What is mounted below the folder from now on stays outside.
  if (::mkdir("/tmp/attached", 0755) < 0 ||
      mount_api::move_mount(task->get(), "/tmp/attached") < 0 ||
      ::mount("tmpfs", "/tmp/task/below", "tmpfs", 0, nullptr) < 0 ||
      ::mkdir("/tmp/task/below/new", 0755) < 0) {
    return 5;
  }
  if (::access("/tmp/attached/below", F_OK) < 0) return 6;
  if (::access("/tmp/attached/below/new", F_OK) == 0 || errno != ENOENT) return 7;
  if (task_mount("/tmp/missing")) return 8;
  return 0;
}

bool forbid(int system_call) {
  std::array program{
      sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
      sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 1, static_cast<unsigned>(system_call)},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
      sock_filter{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW},
  };
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

int status_of(bool old_kernel) {
  constexpr int kOpenTreeAttr = 467;
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(old_kernel && !forbid(kOpenTreeAttr) ? 9 : look_at_task_mount());
  int status = -1;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(TaskMount, IsReadOnlyAndPrivateWithAndWithoutTheOneCall) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(status_of(false), 0);
  EXPECT_EQ(status_of(true), 0);
}

}  // namespace
}  // namespace sock::sandbox
