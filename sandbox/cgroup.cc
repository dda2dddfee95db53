#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/file.h"
#include "sandbox/cgroup_tree.h"

namespace sock::sandbox {
namespace {

constexpr std::uint32_t kPeriodUs = 100'000;
constexpr std::uint32_t kQuotaUsPerMilli = kPeriodUs / 1000;
constexpr std::uint32_t kLeastCpuMillis =
    10;  // a quota of 1 ms, kernel/sched: min_cfs_quota_period
constexpr Millis kDisposeWait{1'000};

/// A control file that some kernels are built or booted without is not an error.
Result<> write_optional(int mount, const std::string& file, std::string_view text) {
  auto written = write_control(mount, file, text);
  if (!written && written.error().sys_errno == ENOENT) return {};
  return written;
}

}  // namespace

Cgroup::Cgroup(Cgroup&& other) noexcept
    : tree_(std::move(other.tree_)),
      name_(std::move(other.name_)),
      v2_dir_(std::move(other.v2_dir_)),
      peak_(std::move(other.peak_)),
      files_(std::move(other.files_)),
      doors_(std::move(other.doors_)),
      scattered_(other.scattered_),
      in_force_(other.in_force_),
      baseline_(other.baseline_),
      leased_(std::exchange(other.leased_, false)) {}

Cgroup& Cgroup::operator=(Cgroup&& other) noexcept {
  if (this == &other) return *this;
  dispose();
  tree_ = std::move(other.tree_);
  name_ = std::move(other.name_);
  v2_dir_ = std::move(other.v2_dir_);
  peak_ = std::move(other.peak_);
  files_ = std::move(other.files_);
  doors_ = std::move(other.doors_);
  scattered_ = other.scattered_;
  in_force_ = other.in_force_;
  baseline_ = other.baseline_;
  leased_ = std::exchange(other.leased_, false);
  return *this;
}

Cgroup::~Cgroup() { dispose(); }

void Cgroup::dispose() {
  const auto tree = std::exchange(tree_, nullptr);
  if (!tree) return;
  if (std::exchange(leased_, false)) --tree->leased;
  if (tree->closed || tree->remove(name_, Clock::now())) return;
  // What will not go now is removed by the pool's destructor, or by reclaim().
  const auto deadline = Clock::now() + kDisposeWait;
  if (tree->drain(name_, deadline)) (void)tree->remove(name_, deadline);
}

Result<Cgroup> Cgroup::make(std::shared_ptr<CgroupTree> tree, std::string name,
                            uid_t delegate_uid) {
  if (auto made = tree->make(name); !made) return std::unexpected(made.error());
  Cgroup slot(std::move(tree), std::move(name));  // from here on an error removes the directories
  const int v2 = slot.tree_->v2();
  if (v2 >= 0) {
    auto dir = open_fd(v2, slot.tree_->path(slot.name_), O_RDONLY | O_DIRECTORY);
    if (!dir) return std::unexpected(dir.error());
    slot.v2_dir_ = std::move(*dir);
    const std::string procs = slot.file("cgroup.procs");
    if (delegate_uid != 0 &&
        ::fchownat(v2, procs.c_str(), delegate_uid, static_cast<gid_t>(-1), 0) < 0) {
      return fail_errno("delegate cgroup", procs);
    }
  }
  Result<> done;
  if (slot.tree_->layout() == CgroupLayout::kV2) {
    done = write_optional(v2, slot.file("memory.swap.max"), "0");
    // A sandbox is one unit: what survives an OOM kill of its parts is of no use to anyone.
    if (done) done = write_control(v2, slot.file("memory.oom.group"), "1");
  } else {
    done = write_control(slot.tree_->with(kCpu), slot.file("cpu.cfs_period_us"),
                         std::to_string(kPeriodUs));
  }
  if (!done) return std::unexpected(done.error());
  return slot;
}

std::string Cgroup::file(std::string_view name) const { return tree_->path(name_, name); }

bool Cgroup::has_in_force(const Limits& limits) const {
  return in_force_.memory_bytes == limits.memory_bytes && in_force_.pids == limits.pids &&
         in_force_.cpu_millis == limits.cpu_millis;
}

Result<> Cgroup::check(const Limits& limits) {
  const auto refuse = [](const std::string& what) {
    return fail(Code::kInvalid, "cgroup limits", what);
  };
  if (limits.memory_bytes == 0) return refuse("no memory");
  if (limits.pids == 0) return refuse("no processes");
  if (limits.cpu_millis < kLeastCpuMillis) {
    return refuse(std::to_string(limits.cpu_millis) + " cpu_millis; the least is " +
                  std::to_string(kLeastCpuMillis));
  }
  return {};
}

Result<> Cgroup::set_memory(std::uint64_t bytes) {
  const int mount = tree_->with(kMemory);
  const std::string text = std::to_string(bytes);
  if (tree_->layout() == CgroupLayout::kV2) return write_control(mount, file("memory.max"), text);
  // v1 keeps limit ≤ memsw limit at every moment (EINVAL): down with the first before the second,
  // up the other way round.
  const std::string limit = file("memory.limit_in_bytes");
  const std::string with_swap = file("memory.memsw.limit_in_bytes");
  auto done = write_control(mount, limit, text);
  if (done) return write_optional(mount, with_swap, text);
  if (done.error().sys_errno != EINVAL) return done;
  done = write_optional(mount, with_swap, text);
  return done ? write_control(mount, limit, text) : done;
}

Result<> Cgroup::set_limits(const Limits& limits) {
  if (auto valid = check(limits); !valid) return valid;
  if (in_force_.memory_bytes != limits.memory_bytes) {
    in_force_.memory_bytes.reset();
    if (auto done = set_memory(limits.memory_bytes); !done) return done;
    in_force_.memory_bytes = limits.memory_bytes;
  }
  if (in_force_.pids != limits.pids) {
    in_force_.pids.reset();
    auto done = write_control(tree_->with(kPids), file("pids.max"), std::to_string(limits.pids));
    if (!done) return done;
    in_force_.pids = limits.pids;
  }
  if (in_force_.cpu_millis != limits.cpu_millis) {
    in_force_.cpu_millis.reset();
    const std::string quota = std::to_string(std::uint64_t{limits.cpu_millis} * kQuotaUsPerMilli);
    const bool unified = tree_->layout() == CgroupLayout::kV2;
    auto done = write_control(tree_->with(kCpu), file(unified ? "cpu.max" : "cpu.cfs_quota_us"),
                              unified ? quota + " " + std::to_string(kPeriodUs) : quota);
    if (!done) return done;
    in_force_.cpu_millis = limits.cpu_millis;
  }
  return {};
}

Result<> Cgroup::attach(pid_t pid, bool born_in_v2) {
  auto attached = tree_->attach(name_, doors_, pid, born_in_v2);
  if (!attached) scattered_ = true;
  return attached;
}

Result<bool> Cgroup::populated() const { return tree_->populated(name_); }

Result<bool> Cgroup::entered() const {
  if (tree_->v2() < 0) return false;
  auto value = files_.events.key(tree_->v2(), file("cgroup.events"), "populated");
  if (!value) return std::unexpected(value.error());
  return *value != 0;
}

Result<bool> Cgroup::vacant() {
  // Everything inside descends from what attach() moved into all hierarchies, so one of them speaks
  // for all, unless it failed half-way.
  auto inside = scattered_ ? populated() : entered();
  if (!inside || *inside) return inside ? false : inside;
  // A zombie has left its groups but stays charged until its parent reaps it (release_task()).
  const auto charged = files_.pids.number(tree_->with(kPids), file("pids.current"));
  if (!charged) return std::unexpected(charged.error());
  if (*charged == 0) scattered_ = false;
  return *charged == 0;
}

void Cgroup::kill() {
  if (tree_->kill(name_)) in_force_.pids.reset();
}

Result<std::uint64_t> Cgroup::memory_peak() const {
  if (tree_->layout() != CgroupLayout::kV2) {
    return files_.peak.number(tree_->with(kMemory), file("memory.max_usage_in_bytes"));
  }
  if (!peak_) {
    auto peak = ControlFile().number(tree_->v2(), file("memory.peak"));
    return !peak && peak.error().sys_errno == ENOENT ? 0 : peak;
  }
  char text[32];
  const ssize_t n = ::pread(peak_.get(), text, sizeof text, 0);
  std::uint64_t value = 0;
  if (n < 0) return fail_errno("read", file("memory.peak"));
  if (std::from_chars(text, text + n, value).ec != std::errc{}) {
    return fail(Code::kInternal, "read", file("memory.peak") + " is not a number");
  }
  return value;
}

Result<std::uint64_t> Cgroup::cpu_us() const {
  // v2 accounts for CPU time in every group, with or without the cpu controller.
  if (tree_->v2() >= 0) {
    return files_.cpu.key(tree_->v2(), file("cpu.stat"), "usage_usec");
  }
  auto nanoseconds = files_.cpu.number(tree_->with(kCpuacct), file("cpuacct.usage"));
  if (nanoseconds) *nanoseconds /= 1000;
  return nanoseconds;
}

Result<std::uint64_t> Cgroup::oom_kills() const {
  if (tree_->layout() != CgroupLayout::kV2) {
    return files_.oom.key(tree_->with(kMemory), file("memory.oom_control"), "oom_kill");
  }
  // With memory.oom.group the kernel counts its first victim twice under oom_kill (seen on 6.1);
  // oom_group_kill (5.17+) counts the event.
  const std::string events = file("memory.events");
  auto kills = files_.oom.key(tree_->v2(), events, "oom_group_kill");
  return kills ? kills : files_.oom.key(tree_->v2(), events, "oom_kill");
}

Result<Cgroup::Counters> Cgroup::counters() const {
  const auto memory = memory_peak();
  if (!memory) return std::unexpected(memory.error());
  const auto cpu = cpu_us();
  if (!cpu) return std::unexpected(cpu.error());
  const auto kills = oom_kills();
  if (!kills) return std::unexpected(kills.error());
  return Counters{*memory, *cpu, *kills};
}

CgroupUsage Cgroup::used_until(const Counters& now) const {
  CgroupUsage usage;
  usage.cpu_us = now.cpu_us - std::min(now.cpu_us, baseline_.cpu_us);
  usage.oom_kills = now.oom_kills - std::min(now.oom_kills, baseline_.oom_kills);
  // An OOM kill means that nothing could be reclaimed: what was there at the lease had gone before.
  const std::uint64_t before = usage.oom_kills > 0 ? 0 : baseline_.memory;
  usage.memory_peak_bytes = now.memory - std::min(now.memory, before);
  return usage;
}

Result<CgroupUsage> Cgroup::usage() const {
  const auto now = counters();
  if (!now) return std::unexpected(now.error());
  return used_until(*now);
}

Result<bool> Cgroup::begin_anew(const Counters& last) {
  if (tree_->layout() != CgroupLayout::kV2) {
    auto done = files_.peak.write(tree_->with(kMemory), file("memory.max_usage_in_bytes"), "0");
    if (!done) return std::unexpected(done.error());
  } else {
    if (!peak_) {
      auto opened = open_fd(tree_->v2(), file("memory.peak"), O_RDWR);
      if (opened) {
        peak_ = std::move(*opened);
      } else if (opened.error().sys_errno != ENOENT) {
        return false;
      }
    }
    if (peak_ && ::pwrite(peak_.get(), "0", 1, 0) < 0) return false;
  }
  const auto memory = memory_peak();
  if (!memory) return std::unexpected(memory.error());
  baseline_ = {*memory, last.cpu_us, last.oom_kills};
  return true;
}

}  // namespace sock::sandbox
