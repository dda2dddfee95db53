#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "sandbox/cgroup_layout.h"
#include "sandbox/cgroup_pool.h"

namespace sock::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRoot = "/sys/fs/cgroup";
constexpr std::uint64_t kMiB = 1U << 20;

/// A child that waits for run() and then does its work. Killed and reaped on destruction.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) < 0) return;
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::close(pipe[1]);
      char go = 0;
      ::_exit(::read(pipe[0], &go, 1) == 1 ? body() : 99);
    }
    ::close(pipe[0]);
    go_.reset(pipe[1]);
    if (pid > 0) {
      process_ = Process(Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))), pid);
    }
  }

  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  void run() { (void)!::write(go_.get(), "g", 1); }

  [[nodiscard]] bool alive() const {
    pollfd waiter{process_.pidfd(), POLLIN, 0};
    return ::poll(&waiter, 1, 0) == 0;
  }

  /// Empty if it does not end in time. To be preferred to !alive() after a kill: a process leaves
  /// its group a moment before its pidfd tells of the end.
  [[nodiscard]] std::optional<Exit> wait(Millis timeout = Millis(20'000)) {
    pollfd waiter{process_.pidfd(), POLLIN, 0};
    if (::poll(&waiter, 1, static_cast<int>(timeout.count())) != 1) return std::nullopt;
    return process_.try_reap();
  }

 private:
  Fd go_;
  Process process_;
};

/// Makes this process the one that reaps its orphaned descendants.
class Subreaper {
 public:
  Subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  Subreaper(const Subreaper&) = delete;
  ~Subreaper() {
    reap();
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  }
  /// Those that are dead by now.
  static void reap() {
    while (::waitpid(-1, nullptr, WNOHANG | __WALL) > 0) {
    }
  }
};

int sleep_for_ever() {
  for (;;) ::pause();
}

/// Touches that much memory, in portions, and stays.
int eat(std::uint64_t bytes) {
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  for (std::uint64_t at = 0; at < bytes; at += 4096) static_cast<char*>(memory)[at] = 1;
  return 0;
}

int spin(Millis time) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
  }
  return 0;
}

class CgroupTest : public ::testing::Test {
 protected:
  /// A moment so many of the pool's idle periods after the test's beginning.
  [[nodiscard]] Clock::time_point after(double periods) const {
    return begun_ + std::chrono::duration_cast<Clock::duration>(periods * CgroupPool::kIdlePeriod);
  }

  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    const auto mounts = read_cgroup_mounts(kRoot);
    if (!mounts) GTEST_SKIP() << mounts.error().describe();
    mounts_ = *mounts;
    static std::atomic<int> counter{0};
    options_.parent = "sock-test-" + std::to_string(::getpid()) + "-" + std::to_string(++counter);
    active_ = true;
  }

  void TearDown() override {
    if (!active_) return;
    pool_.reset();
    const auto left = CgroupPool::reclaim(options_);
    EXPECT_TRUE(left) << left.error().describe();
    EXPECT_TRUE(directories().empty()) << directories().front();
  }

  void create() {
    auto pool = CgroupPool::create(options_);
    ASSERT_TRUE(pool) << pool.error().describe();
    pool_ = std::move(*pool);
  }

  /// Every directory of <parent>, in all hierarchies.
  [[nodiscard]] std::vector<std::string> directories() const {
    std::vector<std::string> out;
    for (const auto& hierarchy : mounts_.hierarchies) {
      const fs::path top = fs::path(hierarchy.mount_point) / options_.parent;
      std::error_code error;
      if (!fs::is_directory(top, error)) continue;
      out.push_back(top.string());
      for (const auto& entry : fs::recursive_directory_iterator(top, error)) {
        if (entry.is_directory(error)) out.push_back(entry.path().string());
      }
    }
    return out;
  }

  /// Path of a group's file in the hierarchy with that controller; 0 means the v2 one.
  [[nodiscard]] std::string path(unsigned controller, const std::string& group,
                                 const std::string& file) const {
    for (const auto& h : mounts_.hierarchies) {
      if (controller == 0 ? h.v2 : (h.controllers & controller) != 0) {
        return h.mount_point + "/" + options_.parent + "/" + group + "/" + file;
      }
    }
    return "/nonexistent";
  }

  [[nodiscard]] static std::string read(const std::string& file) {
    auto text = read_file(AT_FDCWD, file);
    if (!text) return text.error().describe();
    while (text->ends_with('\n')) text->pop_back();
    return *text;
  }

  [[nodiscard]] bool unified() const { return mounts_.layout == CgroupLayout::kV2; }
  [[nodiscard]] std::string memory_limit(const std::string& group) const {
    return read(path(kMemory, group, unified() ? "memory.max" : "memory.limit_in_bytes"));
  }
  [[nodiscard]] std::string cpu_limit(const std::string& group) const {
    return unified() ? read(path(kCpu, group, "cpu.max"))
                     : read(path(kCpu, group, "cpu.cfs_quota_us")) + " " +
                           read(path(kCpu, group, "cpu.cfs_period_us"));
  }

  Cgroup take(const Limits& limits) {
    auto slot = pool_->take(limits);
    if (!slot) {
      ADD_FAILURE() << slot.error().describe();
      std::abort();
    }
    return std::move(*slot);
  }

  void expect_stats(std::size_t pooled, std::size_t leased, std::size_t created) const {
    const auto stats = pool_->stats();
    EXPECT_EQ(stats.pooled, pooled);
    EXPECT_EQ(stats.leased, leased);
    EXPECT_EQ(stats.created, created);
  }

  CgroupPool::Options options_;
  CgroupMounts mounts_;
  std::unique_ptr<CgroupPool> pool_;
  bool active_ = false;
  const Clock::time_point begun_ = Clock::now();
};

TEST_F(CgroupTest, CreatesServiceAndSlotsAndLeavesNothing) {
  create();
  EXPECT_EQ(pool_->layout(), mounts_.layout);
  EXPECT_EQ(directories().size(), 3 * mounts_.hierarchies.size());
  expect_stats(0, 0, 0);
  pool_.reset();
  EXPECT_TRUE(directories().empty());
}

TEST_F(CgroupTest, ANestedParentIsRemovedWithWhatWasMadeForIt) {
  const std::string top = options_.parent;
  options_.parent = top + "/a/b";
  create();
  pool_.reset();
  options_.parent = top;
  EXPECT_TRUE(directories().empty());
}

TEST_F(CgroupTest, AParentThatExistsIsUsedAndLeft) {
  const std::string top = options_.parent;
  for (const auto& h : mounts_.hierarchies) {
    ASSERT_EQ(::mkdir((h.mount_point + "/" + top).c_str(), 0755), 0);
  }
  create();
  pool_.reset();
  EXPECT_EQ(directories().size(), mounts_.hierarchies.size());
}

TEST_F(CgroupTest, ASecondInstanceIsRefusedAndHarmsNothing) {
  create();
  Child child(sleep_for_ever);
  ASSERT_TRUE(pool_->attach_service(child.pid()));
  const auto second = CgroupPool::create(options_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_TRUE(child.alive());
  EXPECT_EQ(directories().size(), 3 * mounts_.hierarchies.size());
}

TEST_F(CgroupTest, AParentThatHoldsProcessesIsRefusedOnV2) {
  if (!unified()) GTEST_SKIP() << "v1 lets processes and groups share a parent";
  const std::string parent = mounts_.hierarchies.front().mount_point + "/" + options_.parent;
  ASSERT_EQ(::mkdir(parent.c_str(), 0755), 0);
  Child child(sleep_for_ever);
  ASSERT_TRUE(write_control(AT_FDCWD, parent + "/cgroup.procs", std::to_string(child.pid())));
  for (const std::string& inside : {options_.parent, options_.parent + "/below"}) {
    CgroupPool::Options options = options_;
    options.parent = inside;
    const auto pool = CgroupPool::create(options);
    ASSERT_FALSE(pool) << inside;
    EXPECT_NE(pool.error().message.find("holds processes"), std::string::npos)
        << pool.error().describe();
    EXPECT_EQ(directories(), std::vector<std::string>{parent}) << "nothing is left of the try";
  }
  EXPECT_TRUE(child.alive());
}

TEST_F(CgroupTest, AnUnknownMountRootIsNotFound) {
  CgroupPool::Options options = options_;
  options.mount_root = "/proc";
  const auto pool = CgroupPool::create(options);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, Code::kNotFound);
}

TEST_F(CgroupTest, TakePutsLimitsInForce) {
  create();
  const Limits limits{.memory_bytes = 48 * kMiB, .pids = 7, .cpu_millis = 250};
  const Cgroup slot = take(limits);
  EXPECT_EQ(slot.name(), "slots/0");
  EXPECT_EQ(memory_limit(slot.name()), std::to_string(48 * kMiB));
  EXPECT_EQ(read(path(kPids, slot.name(), "pids.max")), "7");
  EXPECT_EQ(cpu_limit(slot.name()), "25000 100000");
  if (unified()) {
    EXPECT_EQ(read(path(0, slot.name(), "memory.oom.group")), "1");
    const std::string swap = path(0, slot.name(), "memory.swap.max");
    if (fs::exists(swap)) {
      EXPECT_EQ(read(swap), "0");
    }
  } else {
    const std::string swap = path(kMemory, slot.name(), "memory.memsw.limit_in_bytes");
    if (fs::exists(swap)) {
      EXPECT_EQ(read(swap), std::to_string(48 * kMiB));
    }
  }
  EXPECT_EQ(slot.v2_dir() >= 0, mounts_.layout != CgroupLayout::kV1);
  EXPECT_FALSE(slot.populated().value());
  const auto usage = slot.usage();
  ASSERT_TRUE(usage) << usage.error().describe();
  EXPECT_EQ(usage->cpu_us, 0U);
  EXPECT_EQ(usage->oom_kills, 0U);
  expect_stats(0, 1, 1);
}

TEST_F(CgroupTest, LimitsGoUpAndDown) {
  create();
  Cgroup slot = take({.memory_bytes = 32 * kMiB, .pids = 4, .cpu_millis = 100});
  for (const std::uint64_t mib : {256U, 16U, 64U}) {
    const Limits limits{.memory_bytes = mib * kMiB, .pids = 9, .cpu_millis = 1500};
    const auto done = slot.set_limits(limits);
    ASSERT_TRUE(done) << done.error().describe();
    EXPECT_EQ(memory_limit(slot.name()), std::to_string(mib * kMiB));
    EXPECT_EQ(read(path(kPids, slot.name(), "pids.max")), "9");
    EXPECT_EQ(cpu_limit(slot.name()), "150000 100000");
  }
}

TEST_F(CgroupTest, OnlyWhatDiffersIsWritten) {
  create();
  Limits limits{.memory_bytes = 32 * kMiB, .pids = 4, .cpu_millis = 100};
  Cgroup slot = take(limits);
  // Changed behind the object's back, so that a write would show.
  ASSERT_TRUE(write_control(AT_FDCWD, path(kPids, slot.name(), "pids.max"), "33"));
  limits.cpu_millis = 200;
  ASSERT_TRUE(slot.set_limits(limits));
  EXPECT_EQ(read(path(kPids, slot.name(), "pids.max")), "33");
  EXPECT_EQ(cpu_limit(slot.name()), "20000 100000");
  limits.pids = 5;
  ASSERT_TRUE(slot.set_limits(limits));
  EXPECT_EQ(read(path(kPids, slot.name(), "pids.max")), "5");
}

TEST_F(CgroupTest, LimitsTheKernelCannotKeepAreRefused) {
  create();
  for (const Limits& limits : {Limits{.memory_bytes = 0}, Limits{.pids = 0},
                               Limits{.cpu_millis = 0}, Limits{.cpu_millis = 9}}) {
    const auto slot = pool_->take(limits);
    ASSERT_FALSE(slot);
    EXPECT_EQ(slot.error().code, Code::kInvalid);
  }
  expect_stats(0, 0, 0);
  EXPECT_EQ(directories().size(), 3 * mounts_.hierarchies.size());
  Cgroup slot = take({});
  EXPECT_FALSE(slot.set_limits({.cpu_millis = 9}));
  EXPECT_EQ(cpu_limit(slot.name()), "100000 100000") << "a refused limit changes nothing";
}

TEST_F(CgroupTest, AttachPutsAProcessInEveryHierarchy) {
  create();
  Cgroup slot = take({});
  Child child(sleep_for_ever);
  const auto attached = slot.attach(child.pid(), false);
  ASSERT_TRUE(attached) << attached.error().describe();
  for (const auto& h : mounts_.hierarchies) {
    EXPECT_EQ(read(h.mount_point + "/" + options_.parent + "/" + slot.name() + "/cgroup.procs"),
              std::to_string(child.pid()))
        << h.mount_point;
  }
  EXPECT_TRUE(slot.populated().value());
}

TEST_F(CgroupTest, AttachServicePutsAProcessInEveryHierarchy) {
  create();
  Child child(sleep_for_ever);
  ASSERT_TRUE(pool_->attach_service(child.pid()));
  for (const auto& h : mounts_.hierarchies) {
    EXPECT_EQ(read(h.mount_point + "/" + options_.parent + "/service/cgroup.procs"),
              std::to_string(child.pid()))
        << h.mount_point;
  }
}

TEST_F(CgroupTest, AttachRefusesWhatIsNoProcess) {
  create();
  Cgroup slot = take({});
  for (const pid_t pid : {0, -1}) {
    const auto attached = slot.attach(pid, false);
    ASSERT_FALSE(attached) << pid;
    EXPECT_EQ(attached.error().code, Code::kInvalid);
    EXPECT_FALSE(pool_->attach_service(pid));
  }
  pid_t dead = -1;
  {
    Child child([] { return 0; });
    dead = child.pid();
    child.run();
    ASSERT_TRUE(child.wait());
  }
  const auto attached = slot.attach(dead, false);
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().code, Code::kKilled);
  EXPECT_FALSE(slot.populated().value());
}

TEST_F(CgroupTest, ADelegatedUserClonesFromServiceIntoItsSlotOnly) {
  constexpr uid_t kUser = 123'456;
  options_.delegate_uid = kUser;
  create();
  if (pool_->layout() == CgroupLayout::kV1) GTEST_SKIP() << "no v2 hierarchy to be born in";
  const Cgroup slot = take({});
  const std::string outside = std::string(mounts_.hierarchies.front().mount_point);
  const auto clone_into = [](int directory) {
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(directory);
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) ::_exit(0);
    if (pid < 0) return errno;
    return ::waitpid(static_cast<pid_t>(pid), nullptr, 0) == pid ? 0 : -1;
  };
  Child zygote([&] {
    const int root = ::open(outside.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (::setresgid(kUser, kUser, kUser) != 0 || ::setresuid(kUser, kUser, kUser) != 0) return 1;
    if (clone_into(slot.v2_dir()) != 0) return 2;
    return clone_into(root) == EACCES ? 0 : 3;
  });
  ASSERT_TRUE(pool_->attach_service(zygote.pid()));
  zygote.run();
  const auto exit = zygote.wait();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, 0);
}

TEST_F(CgroupTest, WithoutDelegationAUserCannotCloneIntoASlot) {
  create();
  if (pool_->layout() == CgroupLayout::kV1) GTEST_SKIP() << "no v2 hierarchy to be born in";
  const Cgroup slot = take({});
  Child child([&] {
    if (::setresuid(123'456, 123'456, 123'456) != 0) return 1;
    clone_args args{};
    args.flags = CLONE_INTO_CGROUP;
    args.exit_signal = SIGCHLD;
    args.cgroup = static_cast<std::uint64_t>(slot.v2_dir());
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) ::_exit(0);
    return pid < 0 && errno == EACCES ? 0 : 2;
  });
  ASSERT_TRUE(pool_->attach_service(child.pid()));
  child.run();
  const auto exit = child.wait();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, 0);
}

TEST_F(CgroupTest, AProcessBornInV2IsAttachedToTheRest) {
  create();
  if (pool_->layout() == CgroupLayout::kV1) GTEST_SKIP() << "no v2 hierarchy to be born in";
  Cgroup slot = take({});
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_INTO_CGROUP | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  args.cgroup = static_cast<std::uint64_t>(slot.v2_dir());
  const long pid = ::syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    for (;;) ::pause();
  }
  ASSERT_GT(pid, 0) << strerror(errno);
  const Process child(Fd(pidfd), static_cast<pid_t>(pid));
  const auto attached = slot.attach(child.pid(), true);
  ASSERT_TRUE(attached) << attached.error().describe();
  for (const auto& h : mounts_.hierarchies) {
    EXPECT_EQ(read(h.mount_point + "/" + options_.parent + "/" + slot.name() + "/cgroup.procs"),
              std::to_string(pid))
        << h.mount_point;
  }
}

TEST_F(CgroupTest, TheMemoryLimitKillsAHogAndIsToldFromAKill) {
  create();
  Cgroup slot = take({.memory_bytes = 32 * kMiB});
  Child hog([] { return eat(256 * kMiB); });
  ASSERT_TRUE(slot.attach(hog.pid(), false));
  hog.run();
  const auto exit = hog.wait();
  ASSERT_TRUE(exit);
  EXPECT_TRUE(exit->signalled);
  EXPECT_EQ(exit->status, SIGKILL);
  auto usage = slot.usage();
  ASSERT_TRUE(usage) << usage.error().describe();
  EXPECT_EQ(usage->oom_kills, 1U);
  EXPECT_LE(usage->memory_peak_bytes, 32 * kMiB);
  EXPECT_GE(usage->memory_peak_bytes, 24 * kMiB);

  Child other(sleep_for_ever);
  ASSERT_TRUE(slot.attach(other.pid(), false));
  slot.kill();
  ASSERT_TRUE(other.wait());
  usage = slot.usage();
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->oom_kills, 1U) << "a kill by hand is none of the OOM killer's";
}

TEST_F(CgroupTest, ThePidsLimitMakesForkFail) {
  create();
  const Subreaper reaper;  // before the slot, whose end kills the ones to reap
  Cgroup slot = take({.pids = 5});
  Child forker([] {
    int made = 0;
    for (; made < 20; ++made) {
      const pid_t pid = ::fork();
      if (pid == 0) sleep_for_ever();
      if (pid < 0) return errno == EAGAIN ? made : 50;
    }
    return made;
  });
  ASSERT_TRUE(slot.attach(forker.pid(), false));
  forker.run();
  const auto exit = forker.wait();
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signalled);
  EXPECT_EQ(exit->status, 4) << "five with the first one";
  EXPECT_TRUE(slot.populated().value()) << "its children live on";
}

TEST_F(CgroupTest, TheCpuLimitHoldsAndTimeIsCounted) {
  create();
  Cgroup slot = take({.cpu_millis = 100});
  Child spinner([] { return spin(Millis(1'000)); });
  ASSERT_TRUE(slot.attach(spinner.pid(), false));
  spinner.run();
  const auto exit = spinner.wait();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, 0);
  const auto usage = slot.usage();
  ASSERT_TRUE(usage) << usage.error().describe();
  // One second at a tenth of a core, and the period it overlaps with.
  EXPECT_LE(usage->cpu_us, 250'000U);
  EXPECT_GE(usage->cpu_us, 5'000U);
}

TEST_F(CgroupTest, UsageBeginsAnewWithEachLease) {
  create();
  Cgroup first = take({.memory_bytes = 64 * kMiB});
  const std::string name = first.name();
  {
    Child worker([] { return eat(30 * kMiB) + spin(Millis(50)); });
    ASSERT_TRUE(first.attach(worker.pid(), false));
    worker.run();
    ASSERT_TRUE(worker.wait());
  }
  const auto used = first.usage();
  ASSERT_TRUE(used) << used.error().describe();
  EXPECT_GE(used->memory_peak_bytes, 30 * kMiB);
  EXPECT_GE(used->cpu_us, 10'000U);
  pool_->give_back(std::move(first));
  if (pool_->stats().pooled == 0) {
    EXPECT_TRUE(unified()) << "only v2 before 6.12 cannot reset the peak";
    expect_stats(0, 0, 1);
    EXPECT_EQ(directories().size(), 3 * mounts_.hierarchies.size());
    GTEST_SKIP() << "this kernel cannot reset memory.peak";
  }
  expect_stats(1, 0, 1);

  Cgroup second = take({.memory_bytes = 64 * kMiB});
  EXPECT_EQ(second.name(), name) << "reused";
  auto usage = second.usage();
  ASSERT_TRUE(usage) << usage.error().describe();
  EXPECT_EQ(usage->memory_peak_bytes, 0U);
  EXPECT_EQ(usage->cpu_us, 0U);
  EXPECT_EQ(usage->oom_kills, 0U);
  {
    Child worker([] { return eat(10 * kMiB); });
    ASSERT_TRUE(second.attach(worker.pid(), false));
    worker.run();
    ASSERT_TRUE(worker.wait());
  }
  usage = second.usage();
  ASSERT_TRUE(usage);
  EXPECT_GE(usage->memory_peak_bytes, 9 * kMiB);
  EXPECT_LE(usage->memory_peak_bytes, 20 * kMiB);
  EXPECT_GT(usage->cpu_us, 0U);
}

TEST_F(CgroupTest, AnOomKillOfOneLeaseDoesNotCountForTheNext) {
  create();
  Cgroup slot = take({.memory_bytes = 16 * kMiB});
  {
    Child hog([] { return eat(128 * kMiB); });
    ASSERT_TRUE(slot.attach(hog.pid(), false));
    hog.run();
    ASSERT_TRUE(hog.wait());
  }
  EXPECT_EQ(slot.usage().value().oom_kills, 1U);
  pool_->give_back(std::move(slot));
  const Cgroup next = take({.memory_bytes = 16 * kMiB});
  EXPECT_EQ(next.usage().value().oom_kills, 0U);
}

TEST_F(CgroupTest, KillReachesThoseThatIgnoreSignalsAndFork) {
  create();
  const Subreaper reaper;
  Cgroup slot = take({.pids = 40});
  Child bomb([] {
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) (void)::signal(number, SIG_IGN);
    for (;;) {
      if (::fork() < 0) ::usleep(100);
    }
    return 0;
  });
  ASSERT_TRUE(slot.attach(bomb.pid(), false));
  bomb.run();
  const std::string current = path(kPids, slot.name(), "pids.current");
  const auto full = Clock::now() + Millis(5'000);
  while (read(current) != "40" && Clock::now() < full) ::usleep(1000);
  ASSERT_EQ(read(current), "40");
  const auto begin = Clock::now();
  slot.kill();
  const auto exit = bomb.wait();
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status, SIGKILL);
  while (slot.populated().value() && Clock::now() - begin < Millis(5'000)) ::usleep(200);
  EXPECT_FALSE(slot.populated().value());
  RecordProperty("kill_us", std::to_string(micros_between(begin, Clock::now())));
  // How many is not certain: a fork that the kill interrupts was charged and never became one.
  while (read(current) != "0" && Clock::now() - begin < Millis(5'000)) {
    Subreaper::reap();
    ::usleep(200);
  }
  EXPECT_EQ(read(current), "0");
}

TEST_F(CgroupTest, GiveBackKillsWhatIsLeftAndPoolsAfterItIsReaped) {
  create();
  Cgroup slot = take({});
  Child left([] {
    (void)::signal(SIGTERM, SIG_IGN);
    return sleep_for_ever();
  });
  ASSERT_TRUE(slot.attach(left.pid(), false));
  left.run();
  pool_->give_back(std::move(slot));
  expect_stats(0, 1, 1);  // a zombie holds a share of the pids limit
  ASSERT_TRUE(left.wait());
  const Cgroup next = take({});
  EXPECT_EQ(pool_->stats().leased, 1U);
  EXPECT_EQ(read(path(kPids, next.name(), "pids.current")), "0");
}

TEST_F(CgroupTest, DestructionOfALeaseKillsAndRemoves) {
  create();
  Child left(sleep_for_ever);
  {
    Cgroup slot = take({});
    ASSERT_TRUE(slot.attach(left.pid(), false));
    left.run();
    expect_stats(0, 1, 1);
  }
  EXPECT_TRUE(left.wait());
  expect_stats(0, 0, 1);
  EXPECT_EQ(directories().size(), 3 * mounts_.hierarchies.size());
}

TEST_F(CgroupTest, MovingKeepsOneOwner) {
  create();
  Cgroup a = take({});
  Cgroup b = std::move(a);
  EXPECT_EQ(b.name(), "slots/0");
  b = take({});
  EXPECT_EQ(b.name(), "slots/1");
  expect_stats(0, 1, 2);
  EXPECT_FALSE(fs::exists(path(kMemory, "slots/0", "")));
  pool_->give_back(std::move(b));
  EXPECT_EQ(pool_->stats().leased, 0U);
}

TEST_F(CgroupTest, PooledSlotsArePreferredByLimits) {
  create();
  std::vector<Cgroup> slots;
  for (const std::uint32_t pids : {11U, 12U, 13U}) slots.push_back(take({.pids = pids}));
  for (auto& slot : slots) pool_->give_back(std::move(slot));
  if (pool_->stats().pooled != 3) GTEST_SKIP() << "this kernel's slots are not reused";
  const Cgroup fits = take({.pids = 12});
  EXPECT_EQ(fits.name(), "slots/1");
  const Cgroup other = take({.pids = 99});
  EXPECT_EQ(read(path(kPids, other.name(), "pids.max")), "99");
  expect_stats(1, 2, 3);
}

TEST_F(CgroupTest, WhatABusyMomentLeftIsRemovedSlowlyButForAReserve) {
  create();
  constexpr std::size_t kBusy = CgroupPool::kReserve + 20;
  std::vector<Cgroup> slots;
  while (slots.size() < kBusy) slots.push_back(take({}));
  for (auto& slot : slots) pool_->give_back(std::move(slot));
  if (pool_->stats().pooled != kBusy) GTEST_SKIP() << "this kernel's slots are not reused";
  const auto full = directories().size();
  EXPECT_EQ(pool_->trim(after(0.5)), 0U);
  EXPECT_EQ(pool_->trim(after(1.1)), 0U) << "in the first period all were needed";
  EXPECT_EQ(pool_->trim(after(2.0)), 0U);
  const auto first = pool_->trim(after(2.2));
  EXPECT_GT(first, 0U);
  EXPECT_LT(first, 20U) << "all at once";
  EXPECT_EQ(directories().size(), full - first * mounts_.hierarchies.size());
  for (int i = 0; i < 40; ++i) (void)pool_->trim(after(2.3));
  expect_stats(CgroupPool::kReserve, 0, kBusy);
  for (int i = 4; i < 10; ++i) EXPECT_EQ(pool_->trim(after(i)), 0U) << "the reserve";
}

TEST_F(CgroupTest, WhatIsNeededNowAndThenIsKept) {
  create();
  constexpr std::size_t kBusy = CgroupPool::kReserve + 20;
  const auto busy_moment = [&](std::size_t count) {
    std::vector<Cgroup> slots;
    while (slots.size() < count) slots.push_back(take({}));
    for (auto& slot : slots) pool_->give_back(std::move(slot));
  };
  busy_moment(kBusy);
  if (pool_->stats().pooled != kBusy) GTEST_SKIP() << "this kernel's slots are not reused";
  for (int period = 1; period < 6; ++period) {
    EXPECT_EQ(pool_->trim(after(1.1 * period)), 0U) << period;
    busy_moment(kBusy);
  }
  // Two periods without need for all of them; then the need comes back when only some are removed.
  EXPECT_EQ(pool_->trim(after(7)), 0U);
  EXPECT_GT(pool_->trim(after(8.1)), 0U);
  busy_moment(pool_->stats().pooled);
  EXPECT_EQ(pool_->trim(after(8.2)), 0U) << "removed what was needed";
  EXPECT_EQ(pool_->stats().created, kBusy);
}

TEST_F(CgroupTest, APooledSlotSomebodyEnteredIsNotHandedOut) {
  create();
  pool_->give_back(take({}));
  if (pool_->stats().pooled != 1) GTEST_SKIP() << "this kernel's slots are not reused";
  Child intruder(sleep_for_ever);
  const std::string entry = path(pool_->layout() == CgroupLayout::kV1 ? unsigned{kMemory} : 0U,
                                 "slots/0", "cgroup.procs");
  ASSERT_TRUE(write_control(AT_FDCWD, entry, std::to_string(intruder.pid())));
  intruder.run();
  const Cgroup slot = take({});
  EXPECT_EQ(slot.name(), "slots/1");
  ASSERT_TRUE(intruder.wait()) << "killed";
  pool_->give_back(take({}));
  EXPECT_EQ(pool_->stats().leased, 1U) << "the entered slot came back once it was empty";
}

/// The v1 freezer, unlike that of v2, keeps even SIGKILL from taking effect.
class Freezer {
 public:
  explicit Freezer(const std::string& name) : folder_("/sys/fs/cgroup/freezer/" + name) {
    valid_ =
        fs::exists("/sys/fs/cgroup/freezer/cgroup.procs") && ::mkdir(folder_.c_str(), 0755) == 0;
  }
  Freezer(const Freezer&) = delete;
  ~Freezer() {
    thaw();
    for (int i = 0; i < 1000 && valid_ && ::rmdir(folder_.c_str()) < 0; ++i) ::usleep(1000);
  }
  [[nodiscard]] bool valid() const { return valid_; }
  bool freeze(pid_t pid) {
    if (!write_control(AT_FDCWD, folder_ + "/cgroup.procs", std::to_string(pid)) ||
        !write_control(AT_FDCWD, folder_ + "/freezer.state", "FROZEN")) {
      return false;
    }
    for (int i = 0; i < 2000; ++i) {
      if (read_file(AT_FDCWD, folder_ + "/freezer.state").value_or("") == "FROZEN\n") return true;
      ::usleep(1000);
    }
    return false;
  }
  void thaw() { (void)write_control(AT_FDCWD, folder_ + "/freezer.state", "THAWED"); }

 private:
  std::string folder_;
  bool valid_ = false;
};

TEST_F(CgroupTest, ASlotThatWillNotEmptyIsKeptAsideAndComesBack) {
  create();
  Cgroup slot = take({});
  Child stubborn(sleep_for_ever);
  Freezer freezer(options_.parent);
  if (!freezer.valid()) GTEST_SKIP() << "no v1 freezer to hold a process through SIGKILL";
  ASSERT_TRUE(slot.attach(stubborn.pid(), false));
  stubborn.run();
  ASSERT_TRUE(freezer.freeze(stubborn.pid()));
  const auto begin = Clock::now();
  pool_->give_back(std::move(slot));
  EXPECT_LT(Clock::now() - begin, Millis(2'000)) << "the wait is bounded";
  expect_stats(0, 1, 1);
  EXPECT_TRUE(stubborn.alive());
  const Cgroup other = take({});
  EXPECT_EQ(other.name(), "slots/1");
  freezer.thaw();
  ASSERT_TRUE(stubborn.wait());
  const Cgroup back = take({});
  EXPECT_EQ(back.name(), "slots/0");
  expect_stats(0, 2, 2);
}

TEST_F(CgroupTest, TheDestructorKillsSlotsAndService) {
  create();
  Child in_slot(sleep_for_ever);
  Child in_service(sleep_for_ever);
  Cgroup slot = take({});
  ASSERT_TRUE(slot.attach(in_slot.pid(), false));
  ASSERT_TRUE(pool_->attach_service(in_service.pid()));
  in_slot.run();
  in_service.run();
  pool_->give_back(take({}));
  pool_.reset();
  EXPECT_TRUE(in_slot.wait());
  EXPECT_TRUE(in_service.wait());
  EXPECT_TRUE(directories().empty());
  // The lease that outlived the pool must not touch its successor's slot of the same name.
  create();
  const Cgroup next = take({});
  EXPECT_EQ(next.name(), slot.name());
  { const Cgroup gone = std::move(slot); }
  EXPECT_TRUE(fs::exists(path(kMemory, next.name(), "")));
}

TEST_F(CgroupTest, ReclaimOfNothingIsZero) {
  const auto reclaimed = CgroupPool::reclaim(options_);
  ASSERT_TRUE(reclaimed) << reclaimed.error().describe();
  EXPECT_EQ(*reclaimed, 0U);
}

TEST_F(CgroupTest, ReclaimAfterACrash) {
  // The instance dies without destructors, as by SIGKILL; its sandboxes live on.
  std::vector<Child> orphans;
  for (int i = 0; i < 3; ++i) orphans.emplace_back(sleep_for_ever);
  Child instance([&] {
    auto pool = CgroupPool::create(options_);
    if (!pool) return 1;
    auto slot = (*pool)->take({});
    auto spare = (*pool)->take({});
    if (!slot || !spare || !slot->attach(orphans[0].pid(), false) ||
        !slot->attach(orphans[1].pid(), false) || !(*pool)->attach_service(orphans[2].pid())) {
      return 2;
    }
    ::_exit(0);
  });
  instance.run();
  const auto exit = instance.wait();
  ASSERT_TRUE(exit);
  ASSERT_EQ(exit->status, 0);
  for (auto& orphan : orphans) {
    orphan.run();
    ASSERT_TRUE(orphan.alive());
  }
  ASSERT_FALSE(CgroupPool::create(options_)) << "remains are no place for a new instance";

  const auto reclaimed = CgroupPool::reclaim(options_);
  ASSERT_TRUE(reclaimed) << reclaimed.error().describe();
  EXPECT_EQ(*reclaimed, 5 * mounts_.hierarchies.size());
  for (auto& orphan : orphans) EXPECT_TRUE(orphan.wait());
  EXPECT_TRUE(directories().empty());
  EXPECT_EQ(CgroupPool::reclaim(options_).value(), 0U);
  create();
}

TEST_F(CgroupTest, ReclaimRefusesToKillItsCaller) {
  create();
  Child inside([&] {
    const auto reclaimed = CgroupPool::reclaim(options_);
    return !reclaimed && reclaimed.error().code == Code::kInvalid ? 0 : 1;
  });
  Child witness(sleep_for_ever);
  ASSERT_TRUE(pool_->attach_service(inside.pid()));
  ASSERT_TRUE(pool_->attach_service(witness.pid()));
  inside.run();
  const auto exit = inside.wait();
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->signalled);
  EXPECT_EQ(exit->status, 0);
  EXPECT_TRUE(witness.alive()) << "refused means that nothing was done";
}

TEST_F(CgroupTest, ManyLeasesLeakNoDescriptors) {
  create();
  const auto open_descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  pool_->give_back(take({}));
  const auto before = open_descriptors();
  for (int i = 0; i < 50; ++i) pool_->give_back(take({.pids = 10U + static_cast<unsigned>(i)}));
  EXPECT_EQ(open_descriptors(), before);
  pool_.reset();
  create();
}

}  // namespace
}  // namespace sock::sandbox
