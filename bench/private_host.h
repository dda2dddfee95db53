#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace sock::bench {

/// Takes this process into a network namespace of its own that plays the host: loopback up,
/// forwarding on. Only while it has one thread.
[[nodiscard]] Result<> enter_private_host();

/// The links of the calling thread's network namespace: number, name and kind of each.
[[nodiscard]] Result<std::vector<std::string>> links_here();

}  // namespace sock::bench
