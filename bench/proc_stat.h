#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace sock::bench {

/// A process as /proc/PID/stat shows it (proc_pid_stat(5)).
struct ProcStat {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';
  bool kernel_thread = false;
  double cpu_us = 0;  ///< of all its threads; children are left out
  long threads = 0;
};

/// Empty when it has gone.
[[nodiscard]] std::optional<ProcStat> read_proc_stat(pid_t pid);

/// All processes there are; those that come and go meanwhile may be missing.
[[nodiscard]] std::vector<ProcStat> all_processes();

/// File name of the program it runs, as "sock-zygote"; empty for kernel threads and zombies.
[[nodiscard]] std::string program_name(pid_t pid);

/// Whether its cgroup v2 is `path` (relative to the root) or below.
[[nodiscard]] bool in_cgroup(pid_t pid, const std::string& path);

/// Value of "key:" in /proc/PID/`file` ("status", "smaps_rollup"), in bytes as such files give kB.
[[nodiscard]] std::optional<double> proc_bytes(pid_t pid, const std::string& file,
                                               const std::string& key);

}  // namespace sock::bench
