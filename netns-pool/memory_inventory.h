#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "netns-pool/inventory.h"

/// What the kernel remembers for a network namespace, and what was put into its way of packets.
namespace sock::netns {

/// Adds what generic netlink tells: TCP's memory of peers, MPTCP's endpoints, the offloads of
/// links. `socket` is a generic netlink socket of the namespace.
[[nodiscard]] Result<> list_generic(int socket, std::vector<Item>& items);

/// Has TCP forget its peers; takes CAP_NET_ADMIN on the host.
[[nodiscard]] Result<> forget_peers(int socket);

/// Adds nftables' tables. `socket` is a NETLINK_NETFILTER socket of the namespace.
[[nodiscard]] Result<> list_filters(int socket, std::vector<Item>& items);

/// Removes all tracked connections of the namespace. Fine where the kernel tracks none.
[[nodiscard]] Result<> forget_connections(int socket);

/// Adds states and policies of IPsec. `socket` is a NETLINK_XFRM socket of the namespace.
[[nodiscard]] Result<> list_ipsec(int socket, std::vector<Item>& items);

/// How many connections are tracked in the calling thread's namespace.
[[nodiscard]] Result<std::uint64_t> tracked_connections();

/// Adds what only /proc/net tells, of the calling thread's namespace: IPv6 flow labels, which any
/// process can leave for some minutes, and tables of the older packet filters.
[[nodiscard]] Result<> list_kernel_tables(std::vector<Item>& items);

}  // namespace sock::netns
