#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "sandbox/cgroup_layout.h"
#include "sandbox/control_file.h"

namespace sock::sandbox {

/// One instance's subtree, <parent>, in every hierarchy at once: what Cgroup and CgroupPool share.
/// A group is named by its path below <parent> ("slots/12"; "" is <parent> itself) and is one
/// directory in each hierarchy.
///
/// Not thread safe, except that distinct groups may be used by distinct threads.
class CgroupTree {
 public:
  /// Opens the mounts and creates nothing. `parent` has to satisfy check_cgroup_parent().
  [[nodiscard]] static Result<std::shared_ptr<CgroupTree>> open(const std::string& mount_root,
                                                                const std::string& parent);

  [[nodiscard]] CgroupLayout layout() const { return mounts_.layout; }

  /// Descriptor of the v2 mount; -1 on pure v1.
  [[nodiscard]] int v2() const;
  /// Descriptor of the mount with that controller; -1 if none is used for it.
  [[nodiscard]] int with(CgroupController controller) const;
  /// Path of a group, or of a file in it, relative to either descriptor.
  [[nodiscard]] std::string path(std::string_view group, std::string_view file = {}) const;

  /// Creates <parent> (leaving alone what exists) in every hierarchy, and on v2 lets the memory,
  /// pids and cpu controllers through to its children. On failure removes what it made.
  [[nodiscard]] Result<> make_parent();
  /// Removes the directories that make_parent() created, which must be empty by now.
  [[nodiscard]] Result<> remove_parent();

  /// On v2: enables the controllers for the children of a group. Fails with the names of those
  /// the group was not given, and when it holds processes (the no-internal-processes rule).
  [[nodiscard]] Result<> enable_controllers(std::string_view group);

  /// Creates a group in every hierarchy, or in none; kConflict if it exists in any.
  [[nodiscard]] Result<> make(std::string_view group);

  /// Removes an empty group from every hierarchy; one that is gone already is fine.
  [[nodiscard]] Result<> remove(std::string_view group, Clock::time_point deadline);

  /// The cgroup.procs of one group, one for each hierarchy, as attach() opens them.
  using Doors = std::vector<ControlFile>;

  /// Moves a process into a group in every hierarchy; kKilled if it is gone. `doors` is the group's
  /// own, empty at first.
  [[nodiscard]] Result<> attach(std::string_view group, Doors& doors, pid_t pid, bool skip_v2);

  /// Whether any hierarchy has a live process in the group or, on v2, below it.
  [[nodiscard]] Result<bool> populated(std::string_view group) const;

  /// SIGKILL to all in the group. Does not wait for them to be gone. True if forking had to be
  /// stopped by pids.max = 0 on the way, for want of cgroup.kill.
  bool kill(std::string_view group) const;

  /// Kills and waits until the group is empty; false when the deadline came first.
  [[nodiscard]] bool drain(std::string_view group, Clock::time_point deadline) const;

  /// Kills all in a group and below, and removes the directories, whoever made them. Returns how
  /// many; 0 if there was none. kInvalid, with nothing done, if this process is inside.
  [[nodiscard]] Result<std::size_t> destroy(std::string_view group, Clock::time_point deadline);

  /// One "key value" line of a control file; kInternal if the key is absent.
  [[nodiscard]] static Result<std::uint64_t> read_key(int mount, const std::string& file,
                                                      std::string_view key);

  /// Slots handed out by the pool and not given back or destroyed.
  std::size_t leased = 0;
  /// The pool is gone and its directories with it; by now their names may be another pool's.
  bool closed = false;

 private:
  struct Directory {
    std::size_t hierarchy;
    std::string path;  ///< relative to the mount
  };
  struct Sweep;

  CgroupTree(CgroupMounts mounts, std::string parent)
      : mounts_(std::move(mounts)), parent_(std::move(parent)) {}

  [[nodiscard]] bool has_v2() const { return mounts_.hierarchies.front().v2; }
  [[nodiscard]] Result<> enable_controllers_at(const std::string& directory);
  void list(const Directory& at, int depth, std::vector<Directory>& out) const;
  [[nodiscard]] std::vector<Directory> everywhere(std::string_view group) const;
  [[nodiscard]] Sweep sweep(const std::vector<Directory>& directories) const;
  [[nodiscard]] bool sweep_until_empty(const std::vector<Directory>& directories,
                                       Clock::time_point deadline) const;
  [[nodiscard]] Result<> remove_directory(const Directory& directory,
                                          Clock::time_point deadline) const;

  CgroupMounts mounts_;
  std::string parent_;
  std::vector<Fd> mount_fds_;    ///< one for each of mounts_.hierarchies
  std::vector<Directory> made_;  ///< by make_parent(), in order of creation
};

}  // namespace sock::sandbox
