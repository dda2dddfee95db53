#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/error.h"

namespace sock::sandbox {

/// What sockd expects of a finished sandbox, looked at from outside.
struct Expectation {
  std::uint32_t host_uid = 0;  ///< real, effective, saved and file-system id
  pid_t shell = -1;            ///< pid 1 of the sandbox, whose namespaces it must share
};

/// Proves by /proc/PID, not by the sandbox's word, that every layer is on: Seccomp 2 with both
/// parts of the policy and nothing else but what this process passed on to it, NoNewPrivs 1, all
/// capability sets empty, the expected ids, one thread, the shell's pid, mount, net, ipc and uts
/// namespaces, and none of the seven namespaces shared with this process.
///
/// `pid` must be held by a pidfd of a process not yet reaped, so the number cannot be reused.
/// About 60 µs; off the path of calls. The error names the layer that is missing.
[[nodiscard]] Result<> verify_confined(pid_t pid, const Expectation& expected);

}  // namespace sock::sandbox
