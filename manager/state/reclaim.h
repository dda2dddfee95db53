#pragma once

#include <span>

#include "base/error.h"
#include "manager/state/ledger.h"

namespace sock::manager {

/// Gives back what an instance that died had recorded: kills its helpers and zygotes (by pidfd,
/// after their start time has been compared) and clears its cgroup parents, which ends whatever
/// sandbox is left. Waits until they are gone, seconds at most. Failures are logged; a cgroup
/// parent that cannot be cleared is an error, because the next instance would trip over it.
[[nodiscard]] Result<> reclaim(std::span<LedgerEntry> left_behind);

}  // namespace sock::manager
