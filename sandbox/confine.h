#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <span>

namespace sock::sandbox {

/// Stages of confining a clone, in the order they are taken.
enum class ConfineStep : std::uint32_t {
  kNone = 0,
  kJoinShell,
  kDescriptors,
  kAwaitGo,
  kCgroupNamespace,
  kResourceLimits,
  kIdentity,
  kBoundingSet,
  kCapabilities,
  kNoNewPrivileges,
  kParentDeath,
  kSeccomp,
  kVerify,
};

[[nodiscard]] const char* to_string(ConfineStep step);

struct ConfinePlan {
  std::uint32_t uid = 0;                ///< in the user namespace; also the gid
  std::uint32_t open_files = 0;         ///< RLIMIT_NOFILE
  std::span<const sock_filter> filter;  ///< SeccompPolicy::last; the rest was inherited
};

struct ConfineResult {
  ConfineStep step = ConfineStep::kNone;  ///< the stage that failed; kNone is success
  std::int32_t error = 0;                 ///< its errno
};

/// Child side, between clone and handler: no allocation, no lock, no logging.

/// Prepares what libcap would otherwise allocate in the child, and leaves the process only the
/// capabilities its clones need to join a shell and then drop everything. Once per zygote, and
/// once in the keeper, whose shells inherit it.
/// False with errno on failure.
[[nodiscard]] bool prepare_confinement();

/// Joins the shell's mount, network, ipc and uts namespaces. The clone is already in its pid
/// namespace.
[[nodiscard]] ConfineResult join_shell(int shell_pidfd);

/// Gives up every privilege for good and verifies that it is gone. The process must already be in
/// its cgroup and in the shell's namespaces, hold only the descriptors it may keep, and have one
/// thread.
[[nodiscard]] ConfineResult confine(const ConfinePlan& plan);

}  // namespace sock::sandbox
