#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "manager/functions/network.h"
#include "manager/state/ledger.h"
#include "netns-pool/netns.h"
#include "netns-pool/netns_pool.h"
#include "sandbox/cgroup.h"
#include "sandbox/keeper.h"

namespace sock::manager {

/// An empty sandbox, complete but for the clone that will live in it.
struct Slot {
  Network network;
  netns::NetnsPool* home;  ///< where `netns` came from and goes back to
  netns::Netns netns;
  sandbox::Cgroup cgroup;
  sandbox::Shell shell;
  pid_t shell_pid = -1;
  std::uint32_t uid = 0;   ///< in the user namespace
  LedgerTicket ticket;     ///< the cgroup, for whoever finds it after a crash
  std::string owner = {};  ///< owner_of() whom it was dedicated to; else empty
  bool half_open = false;  ///< opening the network has begun, and not succeeded
};

}  // namespace sock::manager
