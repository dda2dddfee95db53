#include "sandbox/rootfs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

namespace sock::sandbox {
namespace {

TEST(RootFs, ShowsFoldersWhereSandboxesHaveNothingOfTheirOwn) {
  for (const char* folder : {"/srv/packages", "/usr/local/lib/python3.11", "/var/lib/packages",
                             "/tmpfiles", "/home/me/tmp", "/devices"}) {
    EXPECT_TRUE(check_bind(folder)) << folder;
  }
  for (const char* folder : {"/", "/tmp", "/tmp/packages", "/var", "/var/tmp/packages", "/dev/shm",
                             "/proc/1/root", "/etc/packages", "/var/task"}) {
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

}  // namespace
}  // namespace sock::sandbox
