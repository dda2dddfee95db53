#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace sock::manager {

/// What the kernel knows of a process that its memory does not hold.
struct KernelState {
  std::string text;  ///< compared as a whole: signal handlers and masks, umask, limits, descriptors
};

/// Of a parked clone, before anything of a tenant has run in it.
[[nodiscard]] Result<KernelState> kernel_state(pid_t clone);

/// The image of a clone that has loaded its handler, relative to the sealed zygote it came from.
///
/// An image holds memory and nothing else. kInvalid, in words for the function's author, when the
/// process has anything else that it had not when it was parked (`before`): threads, children,
/// descriptors, signal handlers, timers, resource limits, files in /tmp or /dev/shm. Milliseconds;
/// both processes must stand still.
[[nodiscard]] Result<Fd> take_snapshot(pid_t zygote, pid_t clone, const KernelState& before,
                                       std::uint64_t limit);

}  // namespace sock::manager
