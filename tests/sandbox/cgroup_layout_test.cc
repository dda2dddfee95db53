#include "sandbox/cgroup_layout.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/cgroup_pool.h"

namespace sock::sandbox {
namespace {

constexpr std::string_view kRoot = "/sys/fs/cgroup";

constexpr std::string_view kPureV2 = R"(
21 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
30 21 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
)";

constexpr std::string_view kPureV1 = R"(
25 20 0:21 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
27 25 0:23 / /sys/fs/cgroup/systemd rw,relatime shared:11 - cgroup cgroup rw,xattr,name=systemd
30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory
31 25 0:27 / /sys/fs/cgroup/pids rw,relatime shared:16 - cgroup cgroup rw,pids
32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:17 - cgroup cgroup rw,cpu,cpuacct
33 25 0:29 / /sys/fs/cgroup/net_cls,net_prio rw,relatime shared:18 - cgroup cgroup rw,net_cls,net_prio
)";

constexpr std::string_view kHybrid = R"(
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
)";

std::string summary(const CgroupMounts& mounts) {
  std::string out(to_string(mounts.layout));
  for (const auto& h : mounts.hierarchies) {
    out += " " + h.mount_point + "=" + std::to_string(h.controllers) + (h.v2 ? "u" : "");
  }
  return out;
}

std::string find(std::string_view text, std::string_view root = kRoot) {
  const auto found = find_cgroup_mounts(text, root);
  return found ? summary(*found) : "error: " + found.error().describe();
}

TEST(CgroupLayout, Names) {
  EXPECT_EQ(to_string(CgroupLayout::kV2), "v2");
  EXPECT_EQ(to_string(CgroupLayout::kV1), "v1");
  EXPECT_EQ(to_string(CgroupLayout::kHybrid), "hybrid");
}

TEST(CgroupLayout, PureV2) { EXPECT_EQ(find(kPureV2), "v2 /sys/fs/cgroup=7u"); }

TEST(CgroupLayout, PureV1CountsACommonHierarchyOnce) {
  EXPECT_EQ(find(kPureV1),
            "v1 /sys/fs/cgroup/memory=1 /sys/fs/cgroup/pids=2 /sys/fs/cgroup/cpu,cpuacct=12");
}

TEST(CgroupLayout, HybridLeavesOutCpuacctAndPutsV2First) {
  EXPECT_EQ(find(kHybrid),
            "hybrid /sys/fs/cgroup/unified=0u /sys/fs/cgroup/cpu=4 /sys/fs/cgroup/memory=1 "
            "/sys/fs/cgroup/pids=2");
}

TEST(CgroupLayout, HybridWithCpuAndCpuacctTogether) {
  const std::string text =
      std::string(kPureV1) +
      "34 25 0:30 / /sys/fs/cgroup/unified rw,relatime shared:19 - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(find(text),
            "hybrid /sys/fs/cgroup/unified=0u /sys/fs/cgroup/memory=1 /sys/fs/cgroup/pids=2 "
            "/sys/fs/cgroup/cpu,cpuacct=4");
}

TEST(CgroupLayout, V1WithoutLimitingControllersIsV2) {
  const std::string text =
      std::string(kPureV2) +
      "31 30 0:27 / /sys/fs/cgroup/net_cls rw,relatime - cgroup cgroup rw,net_cls\n"
      "32 30 0:28 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n";
  EXPECT_EQ(find(text), "v2 /sys/fs/cgroup=7u");
}

TEST(CgroupLayout, MountsElsewhereDoNotCount) {
  const std::string text =
      "50 21 0:26 / /var/lib/c/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
      "51 21 0:27 / /sys/fs/cgroupx rw - cgroup2 cgroup2 rw\n";
  EXPECT_NE(find(text).find("error: find cgroups: no cgroup hierarchy"), std::string::npos);
  EXPECT_EQ(find(text, "/var/lib/c/sys/fs/cgroup/"), "v2 /var/lib/c/sys/fs/cgroup=7u");
  EXPECT_EQ(find(text + std::string(kPureV2)), "v2 /sys/fs/cgroup=7u");
}

TEST(CgroupLayout, AMountCoveredByAnotherDoesNotCount) {
  const std::string text =
      std::string(kHybrid) + "60 31 0:40 / /sys/fs/cgroup/pids2 rw - cgroup cgroup rw,pids\n";
  // A tmpfs over pids leaves the second mount of it; the order of the lines must not matter.
  const std::string cover = "61 39 0:41 / /sys/fs/cgroup/pids rw - tmpfs tmpfs rw\n";
  EXPECT_NE(find(text + cover).find("/sys/fs/cgroup/pids2=2"), std::string::npos);
  EXPECT_NE(find(cover + text).find("/sys/fs/cgroup/pids2=2"), std::string::npos);
  EXPECT_NE(find(text).find("/sys/fs/cgroup/pids=2"), std::string::npos);
}

TEST(CgroupLayout, ControllersSplitBetweenV1AndV2AreRefusedByName) {
  const std::string text =
      std::string(kPureV2) + "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
  EXPECT_NE(find(text).find("memory on cgroup v1 below /sys/fs/cgroup but not pids, cpu"),
            std::string::npos)
      << find(text);
}

TEST(CgroupLayout, V1WithoutAnyCpuAccountingIsRefused) {
  const std::string text =
      "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
      "32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
  EXPECT_NE(find(text).find("no cpuacct"), std::string::npos) << find(text);
}

TEST(CgroupLayout, SpacesInPathsAndReadOnlyMounts) {
  const auto found = find_cgroup_mounts(
      "30 21 0:26 / /mnt/my\\040cgroup\\134 ro,nosuid shared:9 master:2 - cgroup2 none rw\n",
      "/mnt");
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->hierarchies.at(0).mount_point, "/mnt/my cgroup\\");
  EXPECT_TRUE(found->hierarchies.at(0).read_only);
  EXPECT_FALSE(find_cgroup_mounts(kPureV2, kRoot)->hierarchies.at(0).read_only);
}

TEST(CgroupLayout, BrokenLinesAreSkipped) {
  for (const char* line : {"", "30", "30 21 0:26 / /sys/fs/cgroup rw", "- - - - - - - - -",
                           "30 21 0:26 / /sys/fs/cgroup rw - cgroup2", "\\04 \\ \\9 \\777"}) {
    EXPECT_EQ(find(std::string(line) + "\n" + std::string(kPureV2)), "v2 /sys/fs/cgroup=7u")
        << line;
    EXPECT_NE(find(line).find("error"), std::string::npos) << line;
  }
}

TEST(CgroupLayout, MissingControllers) {
  EXPECT_TRUE(missing_controllers("cpuset cpu io memory hugetlb pids\n").empty());
  EXPECT_EQ(missing_controllers("cpuset io pids\n"), (std::vector<std::string>{"memory", "cpu"}));
  EXPECT_EQ(missing_controllers(""), (std::vector<std::string>{"memory", "pids", "cpu"}));
}

TEST(CgroupParent, GoodOnes) {
  for (const char* parent : {"sock", "a/b/c", "system.slice/sockd.service/x", "..."}) {
    EXPECT_TRUE(check_cgroup_parent(parent)) << parent;
  }
}

TEST(CgroupParent, BadOnes) {
  const std::vector<std::string> bad{"",
                                     "/",
                                     "/sock",
                                     "sock/",
                                     "a//b",
                                     "..",
                                     "../sock",
                                     "a/../b",
                                     "a/..",
                                     ".",
                                     "a/./b",
                                     "a\nb",
                                     std::string("a\0b", 3),
                                     "cgroup.procs",
                                     "a/cgroup.kill",
                                     "tasks",
                                     std::string(256, 'x'),
                                     std::string(1000, 'x') + "/" + std::string(100, 'y')};
  for (const auto& parent : bad) {
    const auto valid = check_cgroup_parent(parent);
    ASSERT_FALSE(valid) << parent;
    EXPECT_EQ(valid.error().code, Code::kInvalid);
    CgroupPool::Options options;
    options.parent = parent;
    EXPECT_FALSE(CgroupPool::create(options)) << parent;
    EXPECT_FALSE(CgroupPool::reclaim(options)) << parent;
  }
}

}  // namespace
}  // namespace sock::sandbox
