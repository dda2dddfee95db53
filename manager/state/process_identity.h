#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/error.h"
#include "base/fd.h"

namespace sock::manager {

/// When a process started: clock ticks since boot (proc_pid_stat(5), field 22). A pid and its start
/// name one process for as long as the machine runs. kNotFound when no such process exists.
[[nodiscard]] Result<std::uint64_t> start_ticks(pid_t pid);

/// Now, on the same scale. No system call where the clock is read in user space (vdso(7)).
[[nodiscard]] std::uint64_t ticks_now();

/// Half of the random id the kernel took when it booted: differs between any two boots.
[[nodiscard]] Result<std::uint64_t> boot_tag();

/// A pidfd of process `pid` if it had already started at `ticks`, that is, if it is the one that
/// was alive then and not a later one that got its number. kNotFound otherwise.
[[nodiscard]] Result<Fd> open_process_of(pid_t pid, std::uint64_t ticks);

}  // namespace sock::manager
