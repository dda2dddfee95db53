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

/// Both tables of the instance. Whoever is admitted may ask `resolvers` on port 53, over UDP and
/// TCP, unless nothing can be allowed to reach them (reserved_addresses.h).
[[nodiscard]] std::string rules_of_instance(
    const InstanceName& name, const AddressPlan& plan,
    std::span<const boost::asio::ip::address> resolvers = {});

/// What decides where a sandbox's packets may go. kInvalid when `egress` contradicts itself or is
/// too long. `most_connections` at a time, so that no sandbox fills the host's table of
/// connections.
[[nodiscard]] Result<std::string> rules_for(const Egress& egress, unsigned most_connections);

struct Admission {
  const Tenant* tenant = nullptr;
  const std::string* rules = nullptr;  ///< of rules_for()
};

/// Lets sandboxes' packets through.
[[nodiscard]] std::string rules_to_admit(const InstanceName& name,
                                         std::span<const Admission> admissions);

/// Takes back exactly what rules_to_admit() says.
[[nodiscard]] std::string rules_to_dismiss(const InstanceName& name,
                                           std::span<const Tenant* const> tenants);

/// Deletes the tables of the instance, existing or not.
[[nodiscard]] std::string rules_to_remove(const InstanceName& name);

}  // namespace sock::netns
