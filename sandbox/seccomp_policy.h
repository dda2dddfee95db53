#pragma once

#include <linux/filter.h>

#include <vector>

#include "base/error.h"

namespace sock::sandbox {

/// The system-call filter of every handler, compiled by libseccomp (a binary tree, so a call costs
/// O(log n) instructions). Compiling takes about a millisecond: once at start; children load the
/// program with seccomp(2).
///
/// - allowed: what threads, subprocess, multiprocessing, asyncio, sqlite3, ssl and the numeric
///   packages use;
/// - EPERM: known calls that need privileges no sandbox has or that widen the kernel's attack
///   surface (mount, bpf, ptrace, keyctl, …);
/// - ENOSYS: everything else, clone3 and io_uring among it, so that libraries fall back;
/// - the process is killed on 32-bit and x32 entry.
[[nodiscard]] Result<std::vector<sock_filter>> compile_seccomp_policy();

}  // namespace sock::sandbox
