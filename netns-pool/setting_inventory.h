#pragma once

#include <string>

#include "base/error.h"

namespace sock::netns {

/// All files below /proc/sys/net that can be read, of the calling thread's network namespace, as
/// lines "path=value". Left out: the number of tracked connections, which is not a setting, and the
/// lists of what the host's kernel has loaded, which no namespace can change.
///
/// About 1 µs a file, of which there are some 600 and 130 more for each link but loopback. The
/// first time the kernel also makes 1 kB of (reclaimable) directory entries for each.
[[nodiscard]] Result<std::string> read_settings();

}  // namespace sock::netns
