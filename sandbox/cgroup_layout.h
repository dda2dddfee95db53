#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sock::sandbox {

/// Which cgroup interface the host offers (cgroups(7)).
enum class CgroupLayout {
  kV2,      ///< one unified hierarchy with the memory, pids and cpu controllers
  kV1,      ///< one hierarchy a controller, no unified one
  kHybrid,  ///< limits on v1; kill, events and CPU accounting on a v2 hierarchy beside it
};

/// "v2", "v1", "hybrid".
[[nodiscard]] std::string_view to_string(CgroupLayout layout);

/// The controllers sandboxes need; bits of CgroupHierarchy::controllers.
enum CgroupController : unsigned {
  kMemory = 1,
  kPids = 2,
  kCpu = 4,
  kCpuacct = 8,  ///< v1 only, and used only where no v2 hierarchy accounts for CPU time
};

/// One mounted hierarchy that sandboxes are placed in.
struct CgroupHierarchy {
  std::string mount_point;
  bool v2 = false;
  bool read_only = false;
  unsigned controllers = 0;  ///< of CgroupController, those used through this hierarchy
};

/// Every hierarchy a sandbox has a group in, each once however many controllers it carries; the
/// v2 one, where there is one, comes first.
struct CgroupMounts {
  CgroupLayout layout = CgroupLayout::kV2;
  std::vector<CgroupHierarchy> hierarchies;
};

/// Chooses the hierarchies from the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)), looking
/// at mounts on or below `mount_root` only. A pure function.
///
/// kNotFound, naming the controllers, when memory, pids and cpu are neither all on v1 nor all left
/// to v2. Whether a v2 hierarchy really has them is in its cgroup.controllers, not here.
[[nodiscard]] Result<CgroupMounts> find_cgroup_mounts(std::string_view mountinfo,
                                                      std::string_view mount_root);

/// find_cgroup_mounts on this process's own mounts.
[[nodiscard]] Result<CgroupMounts> read_cgroup_mounts(std::string_view mount_root);

/// kInvalid unless `parent` is a relative path that stays below the mount: no leading or trailing
/// "/", no empty, "." or ".." part, no control characters, no name that could be a control file.
[[nodiscard]] Result<> check_cgroup_parent(std::string_view parent);

/// Those of memory, pids and cpu that `words` (the text of cgroup.controllers or
/// cgroup.subtree_control) lacks.
[[nodiscard]] std::vector<std::string> missing_controllers(std::string_view words);

}  // namespace sock::sandbox
