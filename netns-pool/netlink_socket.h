#pragma once

#include "base/error.h"
#include "netns-pool/namespace_id.h"

namespace sock::netns {

/// What a netlink socket that came from elsewhere must be.
struct NetlinkKind {
  int protocol;      ///< NETLINK_…
  const char* name;  ///< for error messages
  const char* step;  ///< for error messages: what it is wanted for
};

/// Proof that a descriptor is a netlink socket of that kind in the network namespace `where`
/// (SIOCGSKNS, ioctl_ns(2)); kInvalid when it is not.
[[nodiscard]] Result<> check_netlink_socket(int socket, const NetlinkKind& kind,
                                            const NamespaceId& where);

}  // namespace sock::netns
