#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace sock::bench {

/// Busy time of all processors since boot in microseconds: user, nice, system, irq and softirq of
/// /proc/stat (proc_stat(5)); idle, iowait and steal are not work. Resolution: one tick, 10 ms.
[[nodiscard]] double machine_cpu_us();

/// CPU time in microseconds that everything in and below a cgroup has used; the path is relative to
/// the cgroup v2 root. Empty when there is none.
[[nodiscard]] std::optional<double> cgroup_cpu_us(const std::string& cgroup);

/// CPU time in microseconds of a daemon with everything it started: the cgroup named `cgroup`
/// below the cgroup v2 root, plus process `pid` if it lives outside of it. Empty when either
/// cannot be read.
[[nodiscard]] std::optional<double> daemon_cpu_us(pid_t pid, const std::string& cgroup);

}  // namespace sock::bench
