#include "netns-pool/link_requests.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"

namespace sock::netns {

namespace ip = boost::asio::ip;

namespace {

std::uint8_t family_of(const ip::address& address) { return address.is_v4() ? AF_INET : AF_INET6; }

/// Success when what was to be removed is not there.
Result<> removed(Result<> done) {
  if (!done && (done.error().sys_errno == ENOENT || done.error().sys_errno == ENODEV)) return {};
  return done;
}

/// Until `done` holds; kTimeout after five seconds.
template <class Done>
Result<> await(const char* step, std::string what, Done done) {
  constexpr Millis kPatience{5000};
  constexpr Micros kPause{100};
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    const Result<bool> now = done();
    if (!now) return std::unexpected(now.error());
    if (*now) return {};
    if (Clock::now() >= deadline) return fail(Code::kTimeout, step, std::move(what));
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

Result<> add_address(Rtnetlink& route, int index, const ip::address& address,
                     unsigned prefix_length) {
  ifaddrmsg header{};
  header.ifa_family = family_of(address);
  header.ifa_prefixlen = static_cast<std::uint8_t>(prefix_length);
  header.ifa_index = static_cast<std::uint32_t>(index);
  RouteRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(IFA_LOCAL, address).put(IFA_ADDRESS, address);
  request.put(IFA_FLAGS, std::uint32_t{IFA_F_NODAD});
  return route.ask(request, "add address", address.to_string());
}

Result<> forbid_own_address(Rtnetlink& route, std::string_view name) {
  RouteRequest request(RTM_NEWLINK, 0, ifinfomsg{});
  request.put(IFLA_IFNAME, name);
  request.nest(IFLA_AF_SPEC, [](RouteRequest& families) {
    families.nest(AF_INET6, [](RouteRequest& ipv6) {
      ipv6.put(IFLA_INET6_ADDR_GEN_MODE, std::uint8_t{IN6_ADDR_GEN_MODE_NONE});
    });
  });
  auto done = route.ask(request, "forbid automatic addresses", name);
  if (!done && done.error().sys_errno == EAFNOSUPPORT) return {};
  return done;
}

Result<> bring_up(Rtnetlink& route, std::string_view name) {
  ifinfomsg header{};
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  RouteRequest request(RTM_NEWLINK, 0, header);
  request.put(IFLA_IFNAME, name);
  return route.ask(request, "bring link up", name);
}

Result<> await_running(Rtnetlink& route, std::string_view name) {
  return await("await carrier", std::string(name), [&]() -> Result<bool> {
    auto link = route.link(name);  // since Linux 6.8, looking is enough to have it done
    if (!link) return std::unexpected(link.error());
    return link->running;
  });
}

Result<> await_local(Rtnetlink& route, const ip::address_v6& address) {
  return await("await address", address.to_string(), [&] { return route.is_local(address); });
}

Result<> add_neighbour(Rtnetlink& route, int index, const ip::address& address,
                       const MacAddress& mac) {
  ndmsg header{};
  header.ndm_family = family_of(address);
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  RouteRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.put(NDA_DST, address).put(NDA_LLADDR, mac);
  return route.ask(request, "add neighbour", address.to_string());
}

Result<> remove_neighbour(Rtnetlink& route, int index, const ip::address& address) {
  ndmsg header{};
  header.ndm_family = family_of(address);
  header.ndm_ifindex = index;
  RouteRequest request(RTM_DELNEIGH, 0, header);
  request.put(NDA_DST, address);
  return removed(route.ask(request, "remove neighbour", address.to_string()));
}

Result<> remove_group(Rtnetlink& route, std::uint32_t group) {
  RouteRequest request(RTM_DELLINK, 0, ifinfomsg{});
  request.put(IFLA_GROUP, group);
  return removed(route.ask(request, "remove links", "group " + std::to_string(group)));
}

Result<> join_group(Rtnetlink& route, std::string_view name, std::uint32_t group) {
  RouteRequest request(RTM_NEWLINK, 0, ifinfomsg{});
  request.put(IFLA_IFNAME, name).put(IFLA_GROUP, group);
  return removed(route.ask(request, "put link into a group", name));
}

Result<> remove_link(Rtnetlink& route, std::string_view name) {
  RouteRequest request(RTM_DELLINK, 0, ifinfomsg{});
  request.put(IFLA_IFNAME, name);
  return removed(route.ask(request, "remove link", name));
}

}  // namespace sock::netns
