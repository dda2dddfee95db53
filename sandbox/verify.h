#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.h"

namespace sock::sandbox {

/// A process not yet reaped, so that the number cannot be another's.
struct Subject {
  pid_t pid = -1;
  int pidfd = -1;  ///< borrowed
};

/// What sockd expects of a finished sandbox, looked at from outside.
struct Expectation {
  std::uint32_t host_uid = 0;  ///< real, effective, saved and file-system id
  Subject shell;               ///< pid 1 of the sandbox: its pid, mount, ipc and uts namespaces
  ino_t network = 0;           ///< inode of the network namespace that was leased for it
  ino_t user = 0;              ///< and of the sandboxes' user namespace
  std::string cgroup{};        ///< its Cgroup's name; empty: it has none
  int cgroup_folder = -1;      ///< that group's v2 directory, borrowed; -1: there is none
};

/// Proves by /proc/PID and the pidfd, not by the sandbox's word, that every layer is on: Seccomp 2
/// with both parts of the policy and nothing else but what this process passed on to it, NoNewPrivs
/// 1, all capability sets empty, the expected ids, one thread, its own cgroup on v2, the pid,
/// mount, net, ipc, uts and user namespaces it belongs in, and none of the seven shared with this
/// process.
///
/// About 25 µs, twice that before Linux 6.11; off the path of calls. The error names the layer that
/// is missing.
[[nodiscard]] Result<> verify_confined(const Subject& process, const Expectation& expected);

}  // namespace sock::sandbox
