#include "sandbox/resolv_conf.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "base/fd.h"
#include "base/file.h"
#include "tests/sandbox/old_kernel.h"

namespace sock::sandbox {
namespace {

constexpr std::string_view kText = "nameserver 192.0.2.1\n";

/// A mount namespace of its own with an empty /etc/resolv.conf and a /dev/shm of one page.
bool enter_namespace() {
  if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr)) {
    return false;
  }
  return ::mount("tmpfs", "/etc", "tmpfs", 0, nullptr) == 0 &&
         ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=4k,nr_inodes=4") == 0 &&
         Fd(::open("/etc/resolv.conf", O_CREAT | O_WRONLY, 0644));
}

bool is_empty(const char* folder) {
  std::error_code error;
  return std::filesystem::is_empty(folder, error) && !error;
}

/// These say what is wrong by its number, as an exit status; 0 is nothing.
int look_at_file() {
  if (!enter_namespace()) return 1;
  if (!attach_resolv_conf(kText)) return 2;
  if (read_file(AT_FDCWD, "/etc/resolv.conf").value_or("") != kText) return 3;
  struct statvfs mounted {};
  constexpr unsigned long kWanted = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
  if (::statvfs("/etc/resolv.conf", &mounted) < 0) return 4;
  if ((mounted.f_flag & kWanted) != kWanted) return 5;
  if (!is_empty("/dev/shm")) return 6;
  // Root itself is refused by the mount.
  if (Fd(::open("/etc/resolv.conf", O_WRONLY)) || errno != EROFS) return 7;
  return 0;
}

int look_at_failures() {
  if (!enter_namespace()) return 1;
  {
    const Fd taken(::open("/dev/shm/resolv.conf", O_CREAT | O_WRONLY, 0644));
    if (attach_resolv_conf(kText) || errno != EEXIST) return 2;
    if (::unlink("/dev/shm/resolv.conf") < 0) return 3;
  }
  if (::mkdir("/dev/shm/target", 0755) < 0 ||
      ::symlink("target/file", "/dev/shm/resolv.conf") < 0) {
    return 4;
  }
  if (attach_resolv_conf(kText) || errno != EEXIST || !is_empty("/dev/shm/target")) return 5;
  if (::unlink("/dev/shm/resolv.conf") < 0 || ::rmdir("/dev/shm/target") < 0) return 6;
  // More than fits is not cut.
  if (attach_resolv_conf(std::string(5000, '#')) || errno != ENOSPC) return 7;
  if (!is_empty("/dev/shm")) return 8;
  if (::unlink("/etc/resolv.conf") < 0) return 9;
  if (attach_resolv_conf(kText) || errno != ENOENT) return 10;
  return is_empty("/dev/shm") ? 0 : 11;
}

TEST(ResolvConf, IsReadOnlyAndNamelessWithAndWithoutTheOneCall) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(status_of(look_at_file, false), 0);
  EXPECT_EQ(status_of(look_at_file, true), 0);
}

TEST(ResolvConf, FailsWholeAndLeavesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(status_of(look_at_failures, false), 0);
}

}  // namespace
}  // namespace sock::sandbox
