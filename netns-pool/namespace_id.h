#pragma once

#include <sys/types.h>

#include "base/error.h"

namespace sock::netns {

/// Identity of a namespace while it lives: device and inode on nsfs (namespaces(7)). The kernel
/// reuses inode numbers of dead namespaces.
struct NamespaceId {
  dev_t device = 0;
  ino_t inode = 0;

  bool operator==(const NamespaceId&) const = default;
};

/// Of an open descriptor, which must be on nsfs (kInvalid otherwise).
[[nodiscard]] Result<NamespaceId> namespace_id(int descriptor);

/// The user namespace that owns the namespace behind `descriptor` (NS_GET_USERNS, ioctl_ns(2)).
/// EPERM when it is neither ours nor one below ours.
[[nodiscard]] Result<NamespaceId> owner_of(int descriptor);

/// The user namespace a process is in; `pidfd` -1 means this process.
/// Fails when the process is gone.
[[nodiscard]] Result<NamespaceId> user_namespace_of(int pidfd);

/// This thread's network namespace.
[[nodiscard]] Result<NamespaceId> own_network_namespace();

}  // namespace sock::netns
