#pragma once

#include "base/error.h"

namespace sock::netns {

/// Whether the kernel passes packets on between links in the calling thread's network namespace,
/// without which no sandbox reaches anything. A setting of the whole machine: the administrator's
/// to make, never ours. The error, kInvalid, names the sysctl and the command that sets it.
[[nodiscard]] Result<> check_forwarding_ipv4();
[[nodiscard]] Result<> check_forwarding_ipv6();

}  // namespace sock::netns
