#pragma once

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <memory>
#include <optional>

#include "base/error.h"
#include "netns-pool/bridge.h"
#include "netns-pool/firewall.h"
#include "netns-pool/netns.h"
#include "netns-pool/slot_pool.h"

namespace sock::netns {

struct NatOptions {
  InstanceName name;
  boost::asio::ip::network_v4 ipv4;
  std::optional<boost::asio::ip::network_v6> ipv6;
  unsigned most_connections = Firewall::kMostConnections;  ///< of a sandbox, at a time
  Millis quarantine = SlotPool::kQuarantine;               ///< of an address, after its use
};

/// The way from sandboxes to the network: a bridge, a link for each, and the firewall between them
/// and everything else (bridge.h, sandbox_link.h, firewall.h). All of it is in the network
/// namespace of the thread that starts it, and nothing in the machine's settings is changed.
///
/// Every call waits for the kernel: a millisecond or two, tens of them where said. Not thread safe,
/// nor are two of them in one process (nftables.h): give it a thread of its own.
class NatNetwork {
 public:
  /// Removes what an instance of that name left behind, then builds its own. kInvalid when a prefix
  /// cannot be used, or the kernel does not forward packets (forwarding.h).
  [[nodiscard]] static Result<std::unique_ptr<NatNetwork>> start(const NatOptions& options);

  /// Removes the bridge, ports and tables of that name, whoever made them, and nothing else; none
  /// is fine. A sandbox that had a port is without a network from then on.
  [[nodiscard]] static Result<> remove(const InstanceName& name);

  /// Gives a namespace, in which nothing but loopback may be, a link, and lets pass what `egress`
  /// says. kInvalid when that contradicts itself or the namespace has no route(); kRejected when
  /// all addresses are taken. After a failure the namespace must be destroyed.
  [[nodiscard]] Result<Tenant> attach(Netns& netns, const Egress& egress);

  /// What becomes of a namespace when it is detached.
  enum class Fate {
    kKept,       ///< back to nothing but loopback when detach() returns: tens of milliseconds
    kDestroyed,  ///< by the caller, before or after; the link goes with it: a millisecond
  };

  /// Takes it back. From here on nothing passes. The address is not used again for a while, after a
  /// failure not at all.
  [[nodiscard]] Result<> detach(const Tenant& tenant, Fate fate);

  [[nodiscard]] std::size_t attached() const { return slots_.taken(); }

 private:
  NatNetwork(InstanceName name, AddressPlan plan, Rtnetlink host, Bridge bridge, Firewall firewall,
             SlotPool slots);

  [[nodiscard]] Result<> connect(Netns& netns, const Tenant& tenant, const Egress& egress);

  InstanceName name_;
  AddressPlan plan_;
  Rtnetlink host_;
  Bridge bridge_;
  Firewall firewall_;
  SlotPool slots_;
};

}  // namespace sock::netns
