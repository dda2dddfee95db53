#include "sandbox/rootfs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/file.h"

namespace sock::sandbox {
namespace {

TEST(RootFs, ShowsFoldersWhereSandboxesHaveNothingOfTheirOwn) {
  for (const char* folder : {"/srv/packages", "/usr/local/lib/python3.11", "/var/lib/packages",
                             "/tmpfiles", "/home/me/tmp", "/devices"}) {
    EXPECT_TRUE(check_bind(folder)) << folder;
  }
  for (const char* folder :
       {"/", "/tmp", "/tmp/packages", "/var", "/var/tmp/packages", "/dev/shm", "/proc/1/root",
        "/etc/packages", "/var/task", "/var/wheels/0", "/var/packages"}) {
    const auto checked = check_bind(folder);
    ASSERT_FALSE(checked) << folder;
    EXPECT_EQ(checked.error().code, Code::kInvalid) << folder;
    EXPECT_NE(checked.error().message.find(folder), std::string::npos);
  }
}

TEST(RootFs, TakesPathsOf255Bytes) {
  const std::string longest = "/srv/" + std::string(250, 'x');
  EXPECT_TRUE(check_bind(longest));
  EXPECT_FALSE(check_bind(longest + "x"));
}

TEST(RootFs, LeavesOutFoldersThatAnotherOneShows) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  RootOptions options;
  options.binds = {"/usr/lib/python3.11", "/usr/lib", "/usr/lib64", "/nowhere"};
  const auto mounts = build_root(options);
  ASSERT_TRUE(mounts) << mounts.error().describe();
  const auto count = [&](const std::string& target) {
    return std::ranges::count(*mounts, target, &RootMount::target);
  };
  EXPECT_EQ(count("usr/lib"), 1);
  EXPECT_EQ(count("usr/lib64"), 1);
  EXPECT_EQ(count("usr/lib/python3.11"), 0);
  EXPECT_EQ(count("nowhere"), 0);
}

TEST(RootFs, KnowsItsOwnNameAndNobodyToAskForOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto mounts = build_root({});
  ASSERT_TRUE(mounts) << mounts.error().describe();
  const auto text = [&](const std::string& path) {
    return read_file(mounts->front().tree.get(), path).value_or("cannot be read");
  };
  EXPECT_EQ(text("etc/hosts"),
            "127.0.0.1 localhost\n127.0.1.1 sandbox\n::1 localhost ip6-localhost ip6-loopback\n");
  EXPECT_NE(text("etc/nsswitch.conf").find("hosts: files dns\n"), std::string::npos);
  EXPECT_EQ(text("etc/host.conf"), "multi on\n");
  EXPECT_EQ(text("etc/resolv.conf"), "");
  // A mount covers it, so it must be what it seems.
  struct stat info {};
  ASSERT_EQ(::fstatat(mounts->front().tree.get(), "etc/resolv.conf", &info, AT_SYMLINK_NOFOLLOW),
            0);
  EXPECT_TRUE(S_ISREG(info.st_mode));
}

}  // namespace
}  // namespace sock::sandbox
