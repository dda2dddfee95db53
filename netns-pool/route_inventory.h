#pragma once

#include <vector>

#include "base/error.h"
#include "netns-pool/inventory.h"

namespace sock::netns {

/// Adds what rtnetlink(7) lists: links, addresses, routes, rules, neighbours, nexthops, queueing
/// disciplines. `socket` is an rtnetlink socket of the namespace.
///
/// Left out are neighbours that the kernel writes down by itself when somebody uses loopback or
/// joins a group, and that say no more than that: their link-layer addresses follow from the
/// address, which is not of anybody's choice (entries of others are stains).
///
/// False while an IPv6 address is not in use yet: a moment after it was given the kernel adds its
/// route and the group by which its neighbours ask for it.
[[nodiscard]] Result<bool> list_configuration(int socket, std::vector<Item>& items);

}  // namespace sock::netns
