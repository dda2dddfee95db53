#pragma once

#include <string>

#include "base/error.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/instance_name.h"
#include "netns-pool/rtnetlink.h"

namespace sock::netns {

/// The bridge of an instance, in sockd's own network namespace: the gateway of its sandboxes, each
/// of which is behind one port. It learns nothing, floods nothing and asks nobody: all its
/// neighbours are written down by SandboxLink.
struct Bridge {
  std::string name;
  int index = 0;
  Endpoint gateway;

  /// Makes it, with the gateway's addresses, up. kConflict when a link of that name exists.
  /// After any other failure nothing of it is left.
  [[nodiscard]] static Result<Bridge> create(Rtnetlink& host, const InstanceName& name,
                                             const AddressPlan& plan);
};

/// Removes the bridge and all ports of an instance, told by their names and kinds, whoever made
/// them; none is fine. Sandboxes that had a port are without a network from then on.
[[nodiscard]] Result<> remove_links(Rtnetlink& host, const InstanceName& name);

}  // namespace sock::netns
