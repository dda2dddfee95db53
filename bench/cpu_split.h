#pragma once

#include <sys/types.h>

#include <string>

#include "base/error.h"

namespace sock::bench {

/// Who used the processors, in microseconds since each began; subtract two readings.
struct CpuSplit {
  double sockd = 0;
  double init = 0;       ///< sock-init: the keeper and all shells, dead ones too
  double netns = 0;      ///< sock-netns
  double zygotes = 0;    ///< those alive, cloning included
  double sandboxes = 0;  ///< clones, parked ones and dead ones too
  double client = 0;     ///< this process
  double kernel = 0;     ///< kernel threads
  double machine = 0;    ///< /proc/stat: all of it, that of others included

  /// What none of the named has used: other programs, interrupts, and the difference between
  /// sampled and exact accounting. May be a little below 0.
  [[nodiscard]] double other() const;
};

CpuSplit operator-(const CpuSplit& after, const CpuSplit& before);
CpuSplit operator/(const CpuSplit& split, double count);

/// `cgroup` is the instance's, relative to the cgroup v2 root. Shells are reaped by nobody who
/// keeps their accounts, so they are what the cgroup of sock's own processes used beyond those
/// alive. kNotFound where there is no cgroup v2 (pure v1).
[[nodiscard]] Result<CpuSplit> read_cpu_split(pid_t sockd, const std::string& cgroup);

}  // namespace sock::bench
