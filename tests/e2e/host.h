#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace sock::e2e {

/// What the host shows of one sockd instance, found without sockd's help.

/// A process, as /proc shows it.
struct Seen {
  pid_t pid = -1;
  std::string comm;
  bool exiting = false;  ///< it will never run user code again
};

/// Processes that belong to the instance, those included that are on their way out but not yet
/// gone: in a cgroup at or below `cgroup_parent` in any hierarchy,
/// or sock's own programs with `folder` on their command line.
[[nodiscard]] std::vector<Seen> processes_of(const std::string& cgroup_parent,
                                             const std::string& folder);

/// Living processes with that name (at most 15 bytes), wherever they are.
[[nodiscard]] std::vector<pid_t> processes_named(const std::string& comm);

/// Directories of the instance's cgroup subtree, in every mounted hierarchy.
[[nodiscard]] std::vector<std::string> cgroups_of(const std::string& cgroup_parent);

/// Lines of our mount table that mention `folder`.
[[nodiscard]] std::vector<std::string> mounts_of(const std::string& folder);

/// Open descriptors of a process; 0 when it is gone.
[[nodiscard]] std::size_t open_files_of(pid_t pid);

/// One field of /proc/PID/status, "" when the process or the field is missing.
[[nodiscard]] std::string status_field(pid_t pid, const std::string& name);

/// What a stopped instance has left, one line each; "" when nothing: on the host, and in its ledger
/// of what it still has to give back. Processes that are exiting get two seconds to be gone.
[[nodiscard]] std::string leftovers_of(const std::string& cgroup_parent, const std::string& folder);

/// Kills what is left of an instance and removes its cgroups: for tests that failed.
void sweep(const std::string& cgroup_parent, const std::string& folder);

}  // namespace sock::e2e
