#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/mount_api.h"
#include "sandbox/rootfs.h"
#include "tests/sandbox/old_kernel.h"

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

TEST(TaskMount, IsReadOnlyAndPrivateWithAndWithoutTheOneCall) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(status_of(look_at_task_mount, false), 0);
  EXPECT_EQ(status_of(look_at_task_mount, true), 0);
}

}  // namespace
}  // namespace sock::sandbox
