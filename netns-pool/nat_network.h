#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "netns-pool/bridge.h"
#include "netns-pool/conntrack.h"
#include "netns-pool/firewall.h"
#include "netns-pool/rtnetlink.h"
#include "netns-pool/slot_pool.h"

namespace sock::netns {

struct NatOptions {
  InstanceName name;
  boost::asio::ip::network_v4 ipv4;
  std::optional<boost::asio::ip::network_v6> ipv6;
  unsigned most_connections = Firewall::kMostConnections;  ///< of a sandbox, at a time
  Millis quarantine = SlotPool::kQuarantine;               ///< of an address, after its use
  /// Whoever is admitted may ask these on port 53, whatever else it may; resolvers.h.
  std::vector<boost::asio::ip::address> resolvers = {};
};

/// The way from sandboxes to the network: a bridge, a link for each, and the firewall between them
/// and everything else (bridge.h, sandbox_link.h, firewall.h). All of it is in the network
/// namespace of the thread that starts it, and nothing in the machine's settings is changed.
///
/// A namespace is plugged once, ahead of its use, and nothing passes; from admit() to dismiss(),
/// any number of times, what its Egress says does.
///
/// Every call waits for the kernel: a millisecond or two, tens of them where said. Not thread safe,
/// nor are two of them in one process (nftables.h): give it a thread of its own.
class NatNetwork {
 public:
  /// Removes what an instance of that name left behind, then builds its own. kInvalid when a prefix
  /// or a resolver cannot be used, or the kernel does not forward packets (forwarding.h).
  [[nodiscard]] static Result<std::unique_ptr<NatNetwork>> start(const NatOptions& options);

  /// Removes the bridge, ports and tables of that name, whoever made them, and nothing else; none
  /// is fine. A sandbox that had a port is without a network from then on.
  [[nodiscard]] static Result<> remove(const InstanceName& name);

  /// Gives a namespace, in which nothing but loopback may be, a link with addresses and routes,
  /// through which nothing passes yet. `inside` is an rtnetlink socket of the namespace behind
  /// `netns`; neither is needed afterwards. kRejected when all ports or addresses are taken. After
  /// a failure the namespace has no link, and may be tried again.
  [[nodiscard]] Result<Tenant> plug(int netns, Rtnetlink& inside);

  /// Lets pass what `egress` says. kInvalid when that contradicts itself or is too long, and for a
  /// tenant that is admitted already: it must be dismissed first, so that none of its connections
  /// outlives the rules that allowed it.
  [[nodiscard]] Result<> admit(Tenant& tenant, const Egress& egress);

  /// Nothing passes any more. Established connections end for good: the next admission is another
  /// turn, and no turn is met again before 65,535 others of its place. Fine when nothing was
  /// admitted. After a failure the tenant counts as admitted, and is to be unplugged.
  [[nodiscard]] Result<> dismiss(Tenant& tenant);

  struct Change {
    Tenant* tenant = nullptr;
    const Egress* egress = nullptr;  ///< admit() with this; null: dismiss()
  };

  /// Several of them, of a tenant each, at about the price of one. Each succeeds or fails by
  /// itself.
  [[nodiscard]] std::vector<Result<>> apply(std::span<const Change> changes);

  /// What becomes of a namespace when it is unplugged.
  enum class Fate {
    kKept,       ///< back to nothing but loopback when unplug() returns: tens of milliseconds
    kDestroyed,  ///< by the caller, before or after; the link goes with it: microseconds
  };

  /// Takes the link back; what is admitted is dismissed first, and if that fails, the link cut
  /// whatever the fate. The address is not used again for a while, after a failure not at all.
  [[nodiscard]] Result<> unplug(Tenant& tenant, Fate fate);

  /// Removes what the kernel remembers of one turn that is over, and says whether there was any.
  /// For when there is nothing better to do: it takes up to a millisecond, and only keeps the
  /// host's table of connections small, in which dead ones would stay for up to five days.
  bool tidy();

  [[nodiscard]] std::size_t plugged() const { return slots_.taken(); }

 private:
  NatNetwork(InstanceName name, AddressPlan plan, Rtnetlink host, Bridge bridge, Firewall firewall,
             std::optional<Conntrack> conntrack, SlotPool slots);

  static constexpr std::size_t kMostPast = 4096;

  void end_turn(Tenant& tenant);

  InstanceName name_;
  AddressPlan plan_;
  Rtnetlink host_;
  Bridge bridge_;
  Firewall firewall_;
  std::optional<Conntrack> conntrack_;  // empty where the kernel cannot
  SlotPool slots_;
  std::vector<bool> admitted_;  // by place
  std::deque<Tenant> past_;     // whose turn is over; no more than kMostPast
};

}  // namespace sock::netns
