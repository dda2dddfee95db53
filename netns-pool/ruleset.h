#pragma once

#include <boost/asio/ip/address.hpp>
#include <span>
#include <string>

#include "base/error.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/egress.h"
#include "netns-pool/instance_name.h"
#include "netns-pool/slot_pool.h"

/// What Firewall tells nftables, as text. Every variable part comes from a typed value.
namespace sock::netns {

/// A sandbox as the rules know it.
struct Tenant {
  Slot slot;
  Endpoint end;
};

/// Whether nothing can allow a sandbox to reach this address.
[[nodiscard]] bool never_reachable(const boost::asio::ip::address& address);

/// Both tables of the instance. Whoever is admitted may ask `resolvers` on port 53, over UDP and
/// TCP, unless never_reachable().
[[nodiscard]] std::string rules_of_instance(
    const InstanceName& name, const AddressPlan& plan,
    std::span<const boost::asio::ip::address> resolvers = {});

/// Lets a sandbox's packets through. kInvalid when `egress` contradicts itself or is too long.
/// `most_connections` at a time, so that no sandbox fills the host's table of connections.
[[nodiscard]] Result<std::string> rules_to_admit(const InstanceName& name, const Tenant& tenant,
                                                 const Egress& egress, unsigned most_connections);

/// Takes back exactly what rules_to_admit() says.
[[nodiscard]] std::string rules_to_dismiss(const InstanceName& name, const Tenant& tenant);

/// Deletes the tables of the instance, existing or not.
[[nodiscard]] std::string rules_to_remove(const InstanceName& name);

}  // namespace sock::netns
