#pragma once

#include <boost/asio/ip/address.hpp>

#include "base/error.h"
#include "netns-pool/address_plan.h"

namespace sock::netns {

/// Whether sandboxes with these addresses can reach a resolver; kInvalid, with the resolver and the
/// reason, when nothing can allow it: it is the host itself (in the calling thread's network
/// namespace), a sandbox, of a family that sandboxes have no address of, or never_reachable().
///
/// For people to know at once. What the host gets or becomes later, the firewall refuses anyway.
[[nodiscard]] Result<> check_resolver(const boost::asio::ip::address& resolver,
                                      const AddressPlan& plan);

}  // namespace sock::netns
