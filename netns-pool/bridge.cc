#include "netns-pool/bridge.h"

#include <linux/if_link.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "netns-pool/link_requests.h"

namespace sock::netns {
namespace {

constexpr const char* kKind = "bridge";

Result<> make(Rtnetlink& host, const std::string& name, const MacAddress& mac) {
  RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  // Given, because a bridge without one takes that of whichever port has the lowest.
  request.put(IFLA_IFNAME, name).put(IFLA_ADDRESS, mac);
  request.nest(IFLA_LINKINFO, [](RouteRequest& info) {
    info.put(IFLA_INFO_KIND, kKind).nest(IFLA_INFO_DATA, [](RouteRequest& data) {
      data.put(IFLA_BR_STP_STATE, std::uint32_t{0}).put(IFLA_BR_MCAST_SNOOPING, std::uint8_t{0});
    });
  });
  auto made = host.ask(request, "make bridge", name);
  if (!made && made.error().sys_errno == EEXIST) made.error().code = Code::kConflict;
  return made;
}

Result<> furnish(Rtnetlink& host, const AddressPlan& plan, Bridge& bridge) {
  auto link = host.link(bridge.name);
  if (!link) return std::unexpected(link.error());
  bridge.index = link->index;
  auto done = forbid_own_address(host, bridge.name);
  if (done) {
    done = add_address(host, bridge.index, bridge.gateway.ipv4, plan.ipv4().prefix_length());
  }
  const auto& prefix6 = plan.ipv6();
  if (done && prefix6 && bridge.gateway.ipv6) {
    done = add_address(host, bridge.index, *bridge.gateway.ipv6, prefix6->prefix_length());
  }
  if (done) done = bring_up(host, bridge.name);
  return done;
}

/// For links that are to be removed together: one by one they take the kernel 20 ms each.
std::uint32_t unused_group(const std::vector<LinkInfo>& links) {
  std::uint32_t group = 0x736f636b;  // "sock"
  while (std::any_of(links.begin(), links.end(), [&](auto& it) { return it.group == group; })) {
    ++group;
  }
  return group;
}

}  // namespace

Result<Bridge> Bridge::create(Rtnetlink& host, const InstanceName& name, const AddressPlan& plan) {
  Bridge bridge;
  bridge.name = name.bridge();
  bridge.gateway = plan.gateway();
  if (auto made = make(host, bridge.name, bridge.gateway.mac); !made) {
    return std::unexpected(made.error());
  }
  if (auto furnished = furnish(host, plan, bridge); !furnished) {
    (void)remove_link(host, bridge.name);
    return std::unexpected(furnished.error());
  }
  return bridge;
}

Result<> remove_links(Rtnetlink& host, const InstanceName& name) {
  auto all = host.links();
  if (!all) return std::unexpected(all.error());
  const std::uint32_t group = unused_group(*all);
  bool any = false;
  for (const auto& link : *all) {
    const bool port = link.kind == "veth" && link.name.starts_with(name.port_prefix());
    const bool bridge = link.kind == kKind && link.name == name.bridge();
    if (!port && !bridge) continue;
    if (auto joined = join_group(host, link.name, group); !joined) return joined;
    any = true;
  }
  return any ? remove_group(host, group) : Result<>{};
}

}  // namespace sock::netns
