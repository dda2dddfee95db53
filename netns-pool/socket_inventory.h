#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/error.h"
#include "netns-pool/inventory.h"

namespace sock::netns {

/// What the kernel counts in a network namespace.
struct SocketCount {
  std::uint64_t sockets = 0;    ///< of processes, of every family, found in no table included
  std::uint64_t time_wait = 0;  ///< TCP connections after their socket
  std::uint64_t fragments = 0;  ///< packets of which a part is missing
  bool dccp = false;  ///< has connections after their socket as well, that are not counted
};

/// Of the calling thread's namespace, from /proc/net/sockstat. A socket is counted from socket(2)
/// until its memory is freed, whoever holds it: descriptors on their way in messages, connections
/// that have lost their process, listeners with a connection half open. So no socket means none
/// that sock_diag(7) cannot list either: unbound ones, AF_ALG, AF_VSOCK, AF_XDP, raw sockets where
/// the kernel has no list of them. About 15 µs. Exact for one namespace since Linux 4.16.
[[nodiscard]] Result<SocketCount> count_sockets();

/// Adds the sockets that sock_diag(7) and /proc/net list in the calling thread's namespace, except
/// those of these inodes. `diag` is a sock_diag socket in it. About a millisecond: the kernel goes
/// through the tables of all namespaces.
[[nodiscard]] Result<> list_sockets(int diag, const std::set<std::uint64_t>& except,
                                    std::vector<Item>& items);

}  // namespace sock::netns
