/// After everything: nothing is left, and nothing grew.

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>

#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;

constexpr int kCalls = 500;
/// The pools of parked clones and network namespaces breathe; a leak of one per call would be 500.
constexpr std::size_t kBreathing = 60;
/// A sandbox in a pool holds about fifteen of sockd's descriptors.
constexpr std::size_t kBreathingFiles = 200;

std::set<std::string> files_below(const std::string& folder) {
  std::set<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator each(folder, error);
       !error && each != fs::recursive_directory_iterator(); each.increment(error)) {
    files.insert(each->path().string());
  }
  return files;
}

std::int64_t resident_kilobytes(pid_t pid) { return std::atol(status_field(pid, "VmRSS").c_str()); }

/// Dead processes of sock's that nobody has reaped. They hold little, but a process id each, and
/// those run out.
std::size_t zombies() {
  std::size_t count = 0;
  std::error_code error;
  for (fs::directory_iterator each("/proc", error); !error && each != fs::directory_iterator();
       each.increment(error)) {
    const pid_t pid = std::atoi(each->path().filename().c_str());
    if (pid > 0 && status_field(pid, "State").starts_with("Z") &&
        status_field(pid, "Name").starts_with("sock")) {
      ++count;
    }
  }
  return count;
}

/// Every way a call can end, in turn.
std::string event_for(int i) {
  constexpr std::array<const char*, 8> kWays = {"ok", "ok",   "ok",   "raise",
                                                "ok", "exit", "fork", "file"};
  return '"' + std::string(kWays[static_cast<std::size_t>(i) % kWays.size()]) + '"';
}

constexpr const char* kManyWays =
    "import os, time\n"
    "def handler(way):\n"
    "    print(way)\n"
    "    if way == 'raise':\n"
    "        raise ValueError(way)\n"
    "    if way == 'exit':\n"
    "        os._exit(1)\n"
    "    if way == 'fork' and os.fork() == 0:\n"
    "        os.setsid()\n"
    "        time.sleep(60)\n"
    "    if way == 'file':\n"
    "        open('/tmp/f', 'w').write('x' * 100_000)\n"
    "        open('/dev/shm/f', 'w').write('x' * 100_000)\n"
    "    return way\n";

TEST(Residue, NothingIsLeftAndNothingGrows) {
  if (::geteuid() != 0) GTEST_SKIP() << "sockd needs root";
  const auto mounts_before = mounts_of("/");
  // A small stock: a full one would look like a leak.
  Daemon daemon("[zygotes]\nsets = []\n[parked]\nmax = 8\n");
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("ways", kManyWays, R"({"memory":"64M"})"));
  const auto call_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const Reply reply = api.invoke("ways", event_for(i));
      ASSERT_TRUE(reply.status == 200 || reply.status == 502) << reply.status << reply.body;
    }
  };
  // Until the pools, caches and histories have found their size.
  call_some(100);
  const auto quiet = [&] { return api.get("/v1/health").number("running") == 0; };
  ASSERT_TRUE(eventually(quiet));
  const std::size_t files_before = open_files_of(daemon.pid());
  const std::size_t processes_before = processes_of(daemon.cgroup_parent(), daemon.folder()).size();
  const std::size_t zombies_before = zombies();
  const std::size_t cgroups_before = cgroups_of(daemon.cgroup_parent()).size();
  const auto state_before = files_below(daemon.state_dir());
  const std::int64_t memory_before = resident_kilobytes(daemon.pid());
  ASSERT_GT(files_before, 0U);

  call_some(kCalls);
  ASSERT_TRUE(eventually(quiet));
  const auto settled = [&] {
    return zombies() <= zombies_before + kBreathing &&
           open_files_of(daemon.pid()) <= files_before + kBreathingFiles &&
           processes_of(daemon.cgroup_parent(), daemon.folder()).size() <=
               processes_before + kBreathing &&
           cgroups_of(daemon.cgroup_parent()).size() <= cgroups_before + kBreathing;
  };
  EXPECT_TRUE(eventually(settled, Millis(10'000)))
      << "zombies " << zombies_before << " -> " << zombies() << ", descriptors " << files_before
      << " -> " << open_files_of(daemon.pid()) << ", processes " << processes_before << " -> "
      << processes_of(daemon.cgroup_parent(), daemon.folder()).size() << ", cgroups "
      << cgroups_before << " -> " << cgroups_of(daemon.cgroup_parent()).size();
  EXPECT_EQ(files_below(daemon.state_dir()), state_before);
  EXPECT_LT(resident_kilobytes(daemon.pid()) - memory_before, 32 * 1024) << "kB of resident memory";
  EXPECT_TRUE(processes_named("sock-outlive").empty());

  EXPECT_LT(api.remove("ways").status, 300U);
  ASSERT_EQ(daemon.stop(), 0);
  std::string left = leftovers_of(daemon.cgroup_parent(), daemon.folder());
  for (const auto& path : files_below(daemon.state_dir())) {
    // The code of a removed function is temporary data by now.
    if (path.find("handler.py") != std::string::npos) left += "file " + path + "\n";
  }
  EXPECT_EQ(left, "");
  EXPECT_EQ(mounts_of("/"), mounts_before) << "the mount table changed";
}

TEST(Residue, NoTestOfThisProgramLeftAnything) {
  std::string left;
  for (const auto& path : cgroups_of("")) {
    const std::string name = fs::path(path).filename().string();
    // Only of instances whose folder is gone: others may be at work beside us.
    if (name.starts_with("sock-e2e-") && !fs::exists("/tmp/" + name.substr(0, 15))) {
      left += "cgroup " + path + "\n";
    }
  }
  EXPECT_EQ(left, "");
}

}  // namespace
}  // namespace sock::e2e
