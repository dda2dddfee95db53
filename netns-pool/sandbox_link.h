#pragma once

#include "base/error.h"
#include "netns-pool/bridge.h"
#include "netns-pool/rtnetlink.h"

namespace sock::netns {

/// A sandbox's way to the bridge: a veth pair, one end a port of the bridge, the other eth0 in the
/// sandbox's network namespace, fully configured from outside.
///
/// The port is isolated: it exchanges frames with the bridge itself and with no other port. It
/// learns no address and is flooded with nothing; the sandbox's is written into the bridge's
/// forwarding table. Inside, eth0 has a host address (/32, /128), so that everything but loopback
/// goes to the gateway, whose MAC address is written down too: neither side ever asks for an
/// address, and answers that nobody asked for change nothing.
///
/// eth0 has no IPv6 address but the one given. Router advertisements could only come from the
/// bridge, which is the host.
class SandboxLink {
 public:
  /// `inside` is of the namespace behind `netns`, in which nothing but loopback may exist yet.
  /// A port of that name that a dying namespace has left is replaced. kRejected when the bridge can
  /// have no more ports (1023). After a failure nothing of the link is left.
  [[nodiscard]] static Result<> plug(Rtnetlink& host, Rtnetlink& inside, int netns,
                                     const Bridge& bridge, const std::string& port,
                                     const Endpoint& sandbox);

  /// Removes both ends, which the death of the namespace may have done already. Tens of
  /// milliseconds: the kernel waits until no processor can be looking at the port any more.
  [[nodiscard]] static Result<> unplug(Rtnetlink& host, const Bridge& bridge,
                                       const std::string& port, const Endpoint& sandbox);

  /// The same for a namespace that is about to be destroyed, with which the kernel will remove both
  /// ends in its own time. Microseconds.
  [[nodiscard]] static Result<> forget(Rtnetlink& host, const Bridge& bridge,
                                       const Endpoint& sandbox);
};

}  // namespace sock::netns
