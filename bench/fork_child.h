#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/error.h"
#include "base/process.h"

namespace sock::bench {

/// A copy of this process that runs `body` and exits with its result: for parts of a benchmark that
/// must be processes, but no programs of their own. It keeps the descriptors in `keep` beside the
/// standard ones, leaves interrupts from the terminal to its parent, and dies with the parent's
/// thread. `flags` are namespaces of its own (CLONE_NEW…).
///
/// Only while this process has one thread: the copy may do anything.
[[nodiscard]] Result<Process> fork_child(std::span<const int> keep, std::uint64_t flags,
                                         const std::function<int()>& body);

}  // namespace sock::bench
