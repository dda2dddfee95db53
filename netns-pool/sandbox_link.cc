#include "netns-pool/sandbox_link.h"

#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "netns-pool/link_requests.h"

namespace sock::netns {
namespace {

constexpr const char* kInside = "eth0";

/// The default is one queue a processor, at both ends.
void one_queue(RouteRequest& request) {
  request.put(IFLA_NUM_TX_QUEUES, std::uint32_t{1}).put(IFLA_NUM_RX_QUEUES, std::uint32_t{1});
}

/// Both ends, down: nothing passes before the port is isolated.
Result<> make_pair(Rtnetlink& host, int netns, const Bridge& bridge, const std::string& port,
                   const Endpoint& sandbox) {
  RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.put(IFLA_IFNAME, port).put(IFLA_MASTER, static_cast<std::uint32_t>(bridge.index));
  one_queue(request);
  request.nest(IFLA_LINKINFO, [&](RouteRequest& info) {
    info.put(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](RouteRequest& data) {
      data.nest(VETH_INFO_PEER, [&](RouteRequest& peer) {
        peer.header(ifinfomsg{}).put(IFLA_IFNAME, kInside).put(IFLA_ADDRESS, sandbox.mac);
        peer.put(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns));
        one_queue(peer);
      });
    });
  });
  auto made = host.ask(request, "make veth pair", port);
  if (!made && made.error().sys_errno == EXFULL) {
    made.error().code = Code::kRejected;
    made.error().message +=
        ": the bridge has as many ports as it can, counting those of namespaces "
        "that the kernel has not taken apart yet";
  }
  return made;
}

Result<> isolate(Rtnetlink& host, const std::string& port) {
  RouteRequest request(RTM_NEWLINK, 0, ifinfomsg{});
  request.put(IFLA_IFNAME, port);
  request.nest(IFLA_LINKINFO, [](RouteRequest& info) {
    info.put(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, [](RouteRequest& data) {
      constexpr std::uint8_t kOn = 1;
      constexpr std::uint8_t kOff = 0;
      data.put(IFLA_BRPORT_ISOLATED, kOn).put(IFLA_BRPORT_LEARNING, kOff);
      data.put(IFLA_BRPORT_MODE, kOff);  // hairpin
      data.put(IFLA_BRPORT_UNICAST_FLOOD, kOff).put(IFLA_BRPORT_MCAST_FLOOD, kOff);
      data.put(IFLA_BRPORT_BCAST_FLOOD, kOff).put(IFLA_BRPORT_GUARD, kOn);
    });
  });
  return host.ask(request, "isolate port", port);
}

/// Writes into the bridge's table which port the sandbox is behind.
Result<> add_to_table(Rtnetlink& host, const std::string& port, const MacAddress& mac) {
  auto link = host.link(port);
  if (!link) return std::unexpected(link.error());
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = link->index;
  header.ndm_state = NUD_NOARP;  // static
  header.ndm_flags = NTF_MASTER;
  RouteRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.put(NDA_LLADDR, mac);
  return host.ask(request, "add to forwarding table", port);
}

Result<> attach_port(Rtnetlink& host, const Bridge& bridge, const std::string& port,
                     const Endpoint& sandbox) {
  auto done = isolate(host, port);
  if (done) done = forbid_own_address(host, port);
  if (done) done = add_to_table(host, port, sandbox.mac);
  if (done) done = add_neighbour(host, bridge.index, sandbox.ipv4, sandbox.mac);
  if (done && sandbox.ipv6) {
    done = add_neighbour(host, bridge.index, *sandbox.ipv6, sandbox.mac);
  }
  if (done) done = bring_up(host, port);
  return done;
}

Result<> add_default_route(Rtnetlink& inside, int index, const boost::asio::ip::address& gateway) {
  rtmsg header{};
  header.rtm_family = gateway.is_v4() ? AF_INET : AF_INET6;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  header.rtm_flags = RTNH_F_ONLINK;  // no address makes the gateway's network a neighbour
  RouteRequest request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(RTA_GATEWAY, gateway).put(RTA_OIF, static_cast<std::uint32_t>(index));
  return inside.ask(request, "add default route", gateway.to_string());
}

Result<> configure_family(Rtnetlink& inside, int index, const boost::asio::ip::address& address,
                          const boost::asio::ip::address& gateway, const MacAddress& mac) {
  auto done = add_address(inside, index, address, address.is_v4() ? 32 : 128);
  if (done) done = add_neighbour(inside, index, gateway, mac);
  if (done) done = add_default_route(inside, index, gateway);
  return done;
}

Result<> configure_inside(Rtnetlink& inside, const Endpoint& gateway, const Endpoint& sandbox) {
  auto eth0 = inside.link(kInside);
  if (!eth0) return std::unexpected(eth0.error());
  const int index = eth0->index;  // another one each time, where there was a link before
  auto done = forbid_own_address(inside, kInside);
  if (done) done = bring_up(inside, kInside);
  if (done) done = configure_family(inside, index, sandbox.ipv4, gateway.ipv4, gateway.mac);
  if (done && sandbox.ipv6 && gateway.ipv6) {
    done = configure_family(inside, index, *sandbox.ipv6, *gateway.ipv6, gateway.mac);
  }
  return done;
}

}  // namespace

Result<> SandboxLink::plug(Rtnetlink& host, Rtnetlink& inside, int netns, const Bridge& bridge,
                           const std::string& port, const Endpoint& sandbox) {
  auto made = make_pair(host, netns, bridge, port, sandbox);
  if (!made && made.error().sys_errno == EEXIST && host.link(port)) {
    if (auto removed = remove_link(host, port); !removed) return removed;
    made = make_pair(host, netns, bridge, port, sandbox);
  }
  if (!made) return made;
  auto done = attach_port(host, bridge, port, sandbox);
  if (done) done = configure_inside(inside, bridge.gateway, sandbox);
  if (done) done = await_running(host, port);
  if (done) done = await_running(host, bridge.name);  // which has a carrier when a port has
  if (done) done = await_running(inside, kInside);
  if (done && sandbox.ipv6) done = await_local(inside, *sandbox.ipv6);
  if (!done) (void)unplug(host, bridge, port, sandbox);
  return done;
}

Result<> SandboxLink::unplug(Rtnetlink& host, const Bridge& bridge, const std::string& port,
                             const Endpoint& sandbox) {
  auto gone = remove_link(host, port);
  auto forgotten = forget(host, bridge, sandbox);
  return gone ? forgotten : gone;
}

Result<> SandboxLink::forget(Rtnetlink& host, const Bridge& bridge, const Endpoint& sandbox) {
  auto forgotten = remove_neighbour(host, bridge.index, sandbox.ipv4);
  if (forgotten && sandbox.ipv6) {
    forgotten = remove_neighbour(host, bridge.index, *sandbox.ipv6);
  }
  return forgotten;
}

}  // namespace sock::netns
