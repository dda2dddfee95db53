#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_layout.h"
#include "sandbox/limits.h"

namespace sock::sandbox {

/// The instance's cgroup subtree and the pool of sandbox cgroups in it.
///
///   <parent>/service    sock's own helpers and zygotes
///   <parent>/slots/N    one sandbox each, reused after it proved empty
///
/// <parent> and <parent>/slots hold no processes themselves.
///
/// All calls are synchronous and may wait for the kernel: use it from a worker, with one owner.
/// Not thread safe. What is inside a leased Cgroup does not outlive the pool.
class CgroupPool {
 public:
  struct Options {
    /// Below every hierarchy's mount: "sock" is /sys/fs/cgroup/sock on v2.
    std::string parent = "sock";
    /// Only hierarchies mounted here or below are looked at.
    std::string mount_root = "/sys/fs/cgroup";
    /// The host uid that may clone from service into slots with CLONE_INTO_CGROUP: it gets
    /// cgroup.procs of <parent>, the common ancestor, and of every slot on v2. 0: root only.
    std::uint32_t delegate_uid = 0;
  };

  struct Stats {
    std::size_t pooled = 0;   ///< empty and ready to be taken
    std::size_t leased = 0;   ///< handed out, or given back and not empty yet
    std::size_t created = 0;  ///< slots made since the start
  };

  /// Detects the layout from the mount table, enables the controllers on v2 along the path, and
  /// creates <parent>/service and <parent>/slots. <parent> itself may exist already.
  ///
  /// kInvalid for a parent that is no plain relative path; kNotFound naming the controllers that
  /// are missing; kConflict if another instance, or a dead one's remains, occupies <parent>. On an
  /// error everything made is removed.
  [[nodiscard]] static Result<std::unique_ptr<CgroupPool>> create(const Options& options);

  /// Kills everything in service and slots, waits for it up to five seconds, and removes every
  /// directory this object made, <parent> included.
  ~CgroupPool();
  CgroupPool(const CgroupPool&) = delete;
  CgroupPool& operator=(const CgroupPool&) = delete;

  [[nodiscard]] CgroupLayout layout() const;

  /// The directory of <parent>/slots on cgroup v2, above all sandboxes; kNotFound on pure v1.
  [[nodiscard]] Result<Fd> slots_dir() const;

  /// Moves one of sock's own processes into <parent>/service. kKilled if it is gone.
  [[nodiscard]] Result<> attach_service(pid_t pid);

  /// A slot proven empty with these limits in force: a pooled one, by preference one that has them
  /// already, else a new one. Never writes cgroup.procs.
  [[nodiscard]] Result<Cgroup> take(const Limits& limits);

  /// Ends a lease, and says what was used in it, as Cgroup::usage() does (nothing where that
  /// fails). An empty slot has its accounts reset and is pooled; where the kernel cannot reset the
  /// peak (v2 before 6.12) it is removed instead. One still populated is killed and waited for, at
  /// most 100 ms. One that is not empty after that, or whose dead have not been reaped yet, is kept
  /// aside and looked at again in later calls of take() and give_back(): reap first, then give
  /// back.
  CgroupUsage give_back(Cgroup slot);

  /// Removes pooled slots that nobody has needed for a whole kIdlePeriod, but for kReserve: what a
  /// busy moment left behind. A few at a time; call it every now and then, when no one waits for
  /// take(). Returns how many are gone.
  std::size_t trim(Clock::time_point now);

  /// A slot is removed one to two of these after it was needed last.
  static constexpr Millis kIdlePeriod{30'000};
  static constexpr std::size_t kReserve = 16;

  [[nodiscard]] Stats stats() const;

  /// After a crash: kills everything under <parent> in every hierarchy and removes the
  /// directories, <parent> included. Returns how many directories, 0 if there was nothing.
  /// kInvalid if this process itself is inside; kTimeout if something would not die in five
  /// seconds. Never call it beside a living instance with the same parent.
  [[nodiscard]] static Result<std::size_t> reclaim(const Options& options);

 private:
  CgroupPool(Options options, std::shared_ptr<CgroupTree> tree);

  [[nodiscard]] Result<> build();
  /// Pools an empty slot with these counters, or removes it if it cannot be used again.
  void settle(Cgroup slot, const Result<Cgroup::Counters>& counters);
  void retry_stuck();

  Options options_;
  std::shared_ptr<CgroupTree> tree_;
  std::vector<std::string> made_;  ///< of "service" and "slots"
  std::vector<Cgroup> pooled_;
  std::vector<Cgroup> stuck_;
  std::size_t created_ = 0;
  std::size_t fewest_ = 0;   ///< pooled at a time, since period_began_
  std::size_t surplus_ = 0;  ///< pooled all through the period before, and not removed yet
  Clock::time_point period_began_ = Clock::now();
};

}  // namespace sock::sandbox
