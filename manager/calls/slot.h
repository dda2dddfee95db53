#pragma once

#include <sys/types.h>

#include <cstdint>

#include "manager/state/ledger.h"
#include "netns-pool/netns.h"
#include "sandbox/cgroup.h"
#include "sandbox/keeper.h"

namespace sock::manager {

/// An empty sandbox, complete but for the clone that will live in it.
struct Slot {
  netns::Netns netns;
  sandbox::Cgroup cgroup;
  sandbox::Shell shell;
  pid_t shell_pid = -1;
  std::uint32_t uid = 0;  ///< in the user namespace
  LedgerTicket ticket;    ///< the cgroup, for whoever finds it after a crash
};

}  // namespace sock::manager
