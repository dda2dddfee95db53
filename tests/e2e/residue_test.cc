/// After everything: nothing is left, and nothing grew.

#include <algorithm>
#include <array>
#include <filesystem>
#include <ostream>
#include <set>
#include <thread>

#include "tests/e2e/host.h"
#include "tests/e2e/process.h"
#include "tests/e2e/suite.h"

namespace sock::e2e {
namespace {

namespace fs = std::filesystem;

constexpr int kCalls = 500;
/// What one way in eight of ending a call leaves behind shows up 62 times, and must not be missed.
/// With pools of a fixed size nothing should be left at all, but for these:
/// one sandbox may be on its way in or out: its pid 1, its clone, and a helper's children;
constexpr std::size_t kProcesses = 4;
/// a cgroup or two more may have been needed at once than ever before, in up to four hierarchies,
constexpr std::size_t kCgroups = 8;
/// with up to six descriptors each, and that sandbox with fifteen;
constexpr std::size_t kFiles = 30;
/// and zombies are counted on the whole host, where other instances may be at work.
constexpr std::size_t kZombies = 30;

/// What a sockd holds of the host.
struct Held {
  std::size_t files = 0;
  std::size_t processes = 0;
  std::size_t cgroups = 0;

  bool operator==(const Held&) const = default;
};

void PrintTo(const Held& held, std::ostream* out) {
  *out << held.files << " descriptors, " << held.processes << " processes, " << held.cgroups
       << " cgroups";
}

Held look(const Daemon& daemon) {
  return {open_files_of(daemon.pid()), processes_of(daemon.cgroup_parent(), daemon.folder()).size(),
          cgroups_of(daemon.cgroup_parent()).size()};
}

/// Once it has not changed for a second: pools are refilled behind the calls.
Held look_when_it_stands_still(const Daemon& daemon) {
  Held held = look(daemon);
  auto since = Clock::now();
  const auto still = [&] {
    const Held now = look(daemon);
    if (now != held) since = Clock::now();
    held = now;
    return Clock::now() - since > Millis(1'000);
  };
  EXPECT_TRUE(eventually(still, Millis(20'000))) << "it never stands still";
  return held;
}

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
  // Pools of a fixed size: one that follows demand would look like a leak.
  Daemon daemon("[zygotes]\nsets = []\n[parked]\nmin = 4\nmax = 4\n[netns]\nlow = 8\nhigh = 8\n");
  const auto started = daemon.start();
  ASSERT_TRUE(started) << started.error().describe();
  Api api(daemon.socket());
  ASSERT_DEPLOYED(api.deploy("ways", kManyWays, R"({"memory":"64M"})"));
  const auto call_some = [&](int count) {
    Api its_own(daemon.socket());
    for (int i = 0; i < count; ++i) {
      const Reply reply = its_own.invoke("ways", event_for(i));
      ASSERT_TRUE(reply.status == 200 || reply.status == 502) << reply.status << reply.body;
    }
  };
  // Until the pools, caches and histories have found their size: that of cgroups, which remembers
  // busy moments, by more calls at a time than there will be later.
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) callers.emplace_back(call_some, 20);
  for (auto& caller : callers) caller.join();
  const Held before = look_when_it_stands_still(daemon);
  const std::size_t zombies_before = zombies();
  const auto state_before = files_below(daemon.state_dir());
  const std::int64_t memory_before = resident_kilobytes(daemon.pid());
  ASSERT_GT(before.files, 0U);

  call_some(kCalls);
  const Held after = look_when_it_stands_still(daemon);
  EXPECT_LE(after.files, before.files + kFiles) << testing::PrintToString(after);
  EXPECT_LE(after.processes, before.processes + kProcesses) << testing::PrintToString(after);
  EXPECT_LE(after.cgroups, before.cgroups + kCgroups) << testing::PrintToString(after);
  EXPECT_LE(zombies(), zombies_before + kZombies);
  EXPECT_EQ(files_below(daemon.state_dir()), state_before);
  EXPECT_LT(resident_kilobytes(daemon.pid()) - memory_before, 32 * 1024) << "kB of resident memory";
  EXPECT_TRUE(processes_named("sock-outlive").empty());

  EXPECT_LT(api.remove("ways").status, 300U);
  ASSERT_EQ(daemon.stop(), 0);
  std::string left = leftovers_of(daemon.cgroup_parent(), daemon.folder());
  for (const auto& path : files_below(daemon.state_dir())) {
    // The code of a removed function is temporary data by now.
    // sockd's own jobs are not.
    const bool is_job = path.starts_with(daemon.state_dir() + "/jobs/");
    if (path.find("handler.py") != std::string::npos && !is_job) left += "file " + path + "\n";
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
