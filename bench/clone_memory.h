#pragma once

#include <sys/types.h>

#include <vector>

#include "base/error.h"
#include "bench/instance.h"

namespace sock::bench {

/// What one parked clone adds to the machine, in bytes.
struct CloneMemory {
  double private_bytes = 0;     ///< pages nobody shares: Private_* of smaps_rollup
  double page_table_bytes = 0;  ///< VmPTE
  double cgroup_bytes = 0;      ///< charged to its sandbox's cgroup: all of the above and more
};

[[nodiscard]] Result<CloneMemory> memory_of_clone(pid_t pid);

/// The parked clones of a daemon that serves no calls, once GET /v1/zygotes counts `wanted` or more
/// and no others are in the making: its children that run sock-zygote in a sandbox's cgroup (v2).
/// kTimeout after half a minute.
[[nodiscard]] Result<std::vector<pid_t>> await_parked(const Instance& instance, unsigned wanted);

}  // namespace sock::bench
