#pragma once

#include "base/error.h"

namespace sock::zygote {

/// Moves this fresh, single-threaded process into the sandboxes' user namespace and file system,
/// with mount, network, ipc and uts namespaces of its own, keeps only the capabilities that clones
/// need, and opens its pid namespace as kPidNamespaceFd.
///
/// Mounts of the keeper are copied, not shared: nothing a package does while it is imported can
/// reach a later sandbox.
[[nodiscard]] Result<> enter_namespaces(int keeper_pidfd);

}  // namespace sock::zygote
