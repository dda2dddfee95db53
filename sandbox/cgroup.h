#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "sandbox/control_file.h"
#include "sandbox/limits.h"

namespace sock::sandbox {

class CgroupTree;

/// What a call used, since its cgroup was leased.
struct CgroupUsage {
  /// Highest memory charge above what a reused slot still held when it was leased (page cache of
  /// the call before, which the kernel takes back when the limit is near); after an OOM kill the
  /// whole charge. 0 where the kernel does not tell (cgroup v2 before 5.19).
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t cpu_us = 0;
  /// Times the OOM killer struck: once a process on v1, once for the whole sandbox on v2.
  std::uint64_t oom_kills = 0;
};

/// One sandbox's cgroup: a slot of a CgroupPool, with a directory in every hierarchy the layout
/// uses. Movable; a moved-from object may only be assigned to or destroyed. Not thread safe, but
/// distinct slots may be used from distinct threads, save for their creation and destruction.
///
/// Destruction kills what is inside, waits for it up to a second and removes the directories;
/// CgroupPool::give_back() is the cheaper way out. An object that outlives its pool may only be
/// destroyed.
class Cgroup {
 public:
  Cgroup(Cgroup&& other) noexcept;
  Cgroup& operator=(Cgroup&& other) noexcept;
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;
  ~Cgroup();

  /// A directory descriptor for CLONE_INTO_CGROUP (clone3, clone(2)); -1 on pure v1. It stays this
  /// object's and outlives no lease: pass on a duplicate.
  [[nodiscard]] int v2_dir() const { return v2_dir_.get(); }

  /// "slots/12": unique within the pool's life, for the ledger and for logs.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Puts memory (swap included), pids and CPU bandwidth (over periods of 100 ms) in force; the
  /// other limits are not the cgroup's. Writes only what differs from what this object wrote
  /// before. kInvalid for no memory, no pids, or less than 10 cpu_millis, the kernel's least.
  ///
  /// Lowering memory below what is in use makes the kernel reclaim; on v1 it fails with EBUSY if
  /// it cannot, on v2 it kills (cgroup-v2.rst, memory.max).
  [[nodiscard]] Result<> set_limits(const Limits& limits);

  /// Moves a process in, in every hierarchy it is not in yet: `born_in_v2` says that it was
  /// cloned into v2_dir(). Memory charged before stays where it was charged.
  /// kKilled if the process is gone. After any other error it may be in some hierarchies and not in
  /// others, and must not run.
  ///
  /// A write to cgroup.procs waits for an RCU grace period, about 10 ms.
  [[nodiscard]] Result<> attach(pid_t pid, bool born_in_v2);

  /// Since the lease. Right also when everything inside has exited.
  [[nodiscard]] Result<CgroupUsage> usage() const;

  /// Whether a live process is inside; zombies do not count here, though they hold their share of
  /// the pids limit until they are reaped.
  [[nodiscard]] Result<bool> populated() const;

  /// SIGKILL to everything inside, forks in progress included, without waiting for the end.
  /// Where there is no cgroup.kill (v1; v2 before 5.14) new forks are stopped with pids.max and
  /// the listed processes killed by pidfd.
  void kill();

 private:
  friend class CgroupPool;

  /// What the kernel says; all but `memory`, a peak that is reset, only ever grows.
  struct Counters {
    std::uint64_t memory = 0;
    std::uint64_t cpu_us = 0;
    std::uint64_t oom_kills = 0;
  };
  /// What was last written successfully, field by field.
  struct InForce {
    std::optional<std::uint64_t> memory_bytes;
    std::optional<std::uint32_t> pids;
    std::optional<std::uint32_t> cpu_millis;
  };

  /// What is read or written at every lease.
  struct Files {
    ControlFile events;        ///< v2
    ControlFile pids;          ///< pids.current
    ControlFile peak{O_RDWR};  ///< v1; also written, which resets it
    ControlFile cpu;
    ControlFile oom;
  };

  Cgroup(std::shared_ptr<CgroupTree> tree, std::string name)
      : tree_(std::move(tree)), name_(std::move(name)) {}

  /// Makes the directories of a new slot. `delegate_uid` may clone into it.
  [[nodiscard]] static Result<Cgroup> make(std::shared_ptr<CgroupTree> tree, std::string name,
                                           uid_t delegate_uid);
  [[nodiscard]] static Result<> check(const Limits& limits);
  [[nodiscard]] bool has_in_force(const Limits& limits) const;
  /// Whether somebody may have come in since the slot was vacant: on v2 by CLONE_INTO_CGROUP, which
  /// is delegated; on v1 nobody but us can.
  [[nodiscard]] Result<bool> entered() const;
  /// Nothing is inside, zombies included: the next lease has its pids limit to itself.
  [[nodiscard]] Result<bool> vacant();
  [[nodiscard]] Result<Counters> counters() const;
  /// What was used since the lease when the counters are these.
  [[nodiscard]] CgroupUsage used_until(const Counters& now) const;
  /// Starts the accounts of the next lease, with nobody inside: counters other than the peak are
  /// still as given. False when the kernel cannot reset the peak.
  [[nodiscard]] Result<bool> begin_anew(const Counters& last);
  [[nodiscard]] Result<> set_memory(std::uint64_t bytes);
  [[nodiscard]] Result<std::uint64_t> memory_peak() const;
  [[nodiscard]] Result<std::uint64_t> cpu_us() const;
  [[nodiscard]] Result<std::uint64_t> oom_kills() const;
  [[nodiscard]] std::string file(std::string_view name) const;
  void dispose();

  std::shared_ptr<CgroupTree> tree_;
  std::string name_;
  Fd v2_dir_;
  Fd peak_;  ///< memory.peak of v2: a reset holds for reads through the same descriptor only
  mutable Files files_;
  std::vector<ControlFile> doors_;  ///< cgroup.procs, one for each hierarchy; kept by CgroupTree
  bool scattered_ = false;          ///< a process may be in some hierarchies and not in others
  InForce in_force_;
  Counters baseline_;  ///< at the lease
  bool leased_ = false;
};

}  // namespace sock::sandbox
