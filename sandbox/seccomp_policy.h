#pragma once

#include <linux/filter.h>

#include <span>
#include <vector>

#include "base/error.h"

namespace sock::sandbox {

/// The system-call filter of every handler, compiled by libseccomp (a binary tree, so a call costs
/// O(log n) instructions). Compiling takes about a millisecond: once at start.
///
/// - allowed: what threads, subprocess, multiprocessing, asyncio, sqlite3, ssl and the numeric
///   packages use;
/// - EPERM: known calls that need privileges no sandbox has or that widen the kernel's attack
///   surface (mount, bpf, ptrace, keyctl, …);
/// - ENOSYS: everything else, clone3 and io_uring among it, so that libraries fall back;
/// - the process is killed on 32-bit and x32 entry.
///
/// It is loaded in two parts, because loading a long filter costs a clone about 0.1 ms and
/// inheriting one costs nothing. The kernel runs both and the stricter verdict holds (seccomp(2)),
/// so together they are exactly the policy above, and neither can be taken off again.
struct SeccompPolicy {
  /// The whole policy, but that setns, unshare and clone3 pass: a zygote loads it before it imports
  /// anything, and needs those three to make clones.
  std::vector<sock_filter> inherited;
  /// Refuses the three and lets everything else pass: the last step of confining a clone.
  std::vector<sock_filter> last;
};

/// Filters on a handler's process: both parts, and nothing that somebody else has loaded.
inline constexpr int kSeccompFilters = 2;

[[nodiscard]] Result<SeccompPolicy> compile_seccomp_policy();

/// The policy as one filter: what the two parts have to add up to.
[[nodiscard]] Result<std::vector<sock_filter>> compile_whole_seccomp_policy();

/// Loads a part into this single-threaded process; needs no_new_privs or CAP_SYS_ADMIN in its user
/// namespace. Allocates nothing. False with errno on failure.
[[nodiscard]] bool load_seccomp_filter(std::span<const sock_filter> filter);

}  // namespace sock::sandbox
