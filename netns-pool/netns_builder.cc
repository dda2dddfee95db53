#include "netns-pool/netns_builder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "netns-pool/netlink_handles.h"
#include "netns-pool/rtnetlink.h"
#include "netns-pool/socket_census.h"

namespace sock::netns {
namespace {

using Checked = std::expected<void, BuildFailure>;

constexpr std::string_view kLoopback = "lo";

std::unexpected<BuildFailure> failed(BuildStep step, std::string detail, int error = 0) {
  return std::unexpected(BuildFailure{step, error, std::move(detail)});
}

std::unexpected<BuildFailure> failed_errno(BuildStep step) { return failed(step, "", errno); }

/// libnl's error numbers are its own, not errno.
std::unexpected<BuildFailure> failed_netlink(BuildStep step, int error) {
  return failed(step, nl_geterror(error));
}

std::expected<NetlinkSocket, BuildFailure> open_rtnetlink() {
  NetlinkSocket socket(nl_socket_alloc());
  if (!socket) return failed(BuildStep::kNetlink, "", ENOMEM);
  if (const int error = nl_connect(socket.get(), NETLINK_ROUTE); error < 0) {
    return failed_netlink(BuildStep::kNetlink, error);
  }
  return socket;
}

Checked bring_loopback_up(nl_sock* socket) {
  rtnl_link* found = nullptr;
  if (const int error = rtnl_link_get_kernel(socket, 0, kLoopback.data(), &found); error < 0) {
    return failed_netlink(BuildStep::kLoopbackUp, error);
  }
  const NetlinkLink loopback(found);
  const NetlinkLink change(rtnl_link_alloc());
  if (!change) return failed(BuildStep::kLoopbackUp, "", ENOMEM);
  rtnl_link_set_flags(change.get(), IFF_UP);
  if (const int error = rtnl_link_change(socket, loopback.get(), change.get(), 0); error < 0) {
    return failed_netlink(BuildStep::kLoopbackUp, error);
  }
  return {};
}

/// The only link is loopback, up. The usual offenders are the fallback devices (tunl0, sit0, …)
/// that tunnel modules put into every new namespace unless net.core.fb_tunnels_only_for_init_net is
/// set.
Checked verify_links(nl_sock* socket) {
  nl_cache* filled = nullptr;
  if (const int error = rtnl_link_alloc_cache(socket, AF_UNSPEC, &filled); error < 0) {
    return failed_netlink(BuildStep::kVerifyLinks, error);
  }
  const NetlinkCache links(filled);
  bool loopback_up = false;
  for (nl_object* object = nl_cache_get_first(links.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    auto* link = reinterpret_cast<rtnl_link*>(object);
    const char* name = rtnl_link_get_name(link);
    const unsigned flags = rtnl_link_get_flags(link);
    if (name == nullptr || name != kLoopback || (flags & IFF_LOOPBACK) == 0) {
      return failed(BuildStep::kVerifyLinks,
                    std::string("unexpected link ") + (name == nullptr ? "without a name" : name));
    }
    loopback_up = (flags & IFF_UP) != 0;
  }
  if (!loopback_up) return failed(BuildStep::kVerifyLinks, "loopback is not up");
  return {};
}

/// 127.0.0.1 is there, and nothing but loopback addresses.
Checked verify_addresses(nl_sock* socket) {
  nl_cache* filled = nullptr;
  if (const int error = rtnl_addr_alloc_cache(socket, &filled); error < 0) {
    return failed_netlink(BuildStep::kVerifyAddresses, error);
  }
  const NetlinkCache addresses(filled);
  const in_addr ipv4{htonl(INADDR_LOOPBACK)};
  bool found = false;
  for (nl_object* object = nl_cache_get_first(addresses.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    const nl_addr* local = rtnl_addr_get_local(reinterpret_cast<rtnl_addr*>(object));
    const auto is = [local](const auto& expected) {
      return local != nullptr && nl_addr_get_len(local) == sizeof expected &&
             std::memcmp(nl_addr_get_binary_addr(local), &expected, sizeof expected) == 0;
    };
    if (is(ipv4)) {
      found = true;
    } else if (!is(in6addr_loopback)) {
      char text[INET6_ADDRSTRLEN + 8] = "none";
      if (local != nullptr) nl_addr2str(local, text, sizeof text);
      return failed(BuildStep::kVerifyAddresses, std::string("unexpected address ") + text);
    }
  }
  if (!found) return failed(BuildStep::kVerifyAddresses, "127.0.0.1 is missing");
  return {};
}

Checked verify_through(nl_sock* socket) {
  auto checked = verify_links(socket);
  if (checked) checked = verify_addresses(socket);
  return checked;
}

/// What a namespace with a link to the outside wants, and only a process inside can set.
Checked change_settings() {
  // A closed connection whose last packets nobody answers any more, because the link is cut when
  // its process has died, would keep the namespace alive for minutes.
  constexpr const char* kOrphans = "/proc/sys/net/ipv4/tcp_orphan_retries";
  // Addresses and routes are given, not advertised.
  constexpr const char* kAdvertised = "/proc/sys/net/ipv6/conf/default/accept_ra";
  if (auto set = write_control(AT_FDCWD, kOrphans, "1"); !set) {
    return failed(BuildStep::kSettings, kOrphans, set.error().sys_errno);
  }
  auto set = write_control(AT_FDCWD, kAdvertised, "0");
  const bool no_ipv6 = !set && set.error().sys_errno == ENOENT;
  if (!set && !no_ipv6) return failed(BuildStep::kSettings, kAdvertised, set.error().sys_errno);
  return {};
}

Fd open_current() { return Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

/// Inside the new namespace. The rtnetlink socket belongs to it and must be closed before the
/// caller leaves: an open socket keeps its namespace alive.
std::expected<BuiltNetns, BuildFailure> built_inside(Furnish furnish) {
  {
    auto socket = open_rtnetlink();
    if (!socket) return std::unexpected(socket.error());
    auto checked = bring_loopback_up(socket->get());
    if (checked) checked = verify_through(socket->get());
    if (!checked) return std::unexpected(checked.error());
  }
  BuiltNetns built;
  built.descriptor = open_current();
  struct stat status {};
  if (!built.descriptor || ::fstat(built.descriptor.get(), &status) < 0) {
    return failed_errno(BuildStep::kDescriptor);
  }
  built.inode = status.st_ino;
  if (auto census = SocketCensus::open()) built.census = std::move(*census);
  if (furnish == Furnish::kRoutable) {
    if (auto changed = change_settings(); !changed) return std::unexpected(changed.error());
    auto socket = Rtnetlink::open_socket();
    if (!socket) return failed(BuildStep::kNetlink, socket.error().step, socket.error().sys_errno);
    built.route = std::move(*socket);
  }
  return built;
}

}  // namespace

std::expected<NetnsBuilder, BuildFailure> NetnsBuilder::create() {
  // Not the namespace we came from: one owned by a user namespace above ours could be left by
  // unshare(2) but never be returned to (setns(2) needs CAP_SYS_ADMIN in the owner).
  if (::unshare(CLONE_NEWNET) < 0) return failed_errno(BuildStep::kBaseNamespace);
  Fd base = open_current();
  if (!base) return failed_errno(BuildStep::kBaseNamespace);
  return NetnsBuilder(std::move(base));
}

std::expected<void, BuildFailure> NetnsBuilder::verify() {
  auto socket = open_rtnetlink();
  if (!socket) return std::unexpected(socket.error());
  return verify_through(socket->get());
}

std::expected<BuiltNetns, BuildFailure> NetnsBuilder::build(Furnish furnish) {
  const auto begin = Clock::now();
  if (::unshare(CLONE_NEWNET) < 0) return failed_errno(BuildStep::kUnshare);
  auto built = built_inside(furnish);
  const auto end = Clock::now();
  if (::setns(base_.get(), CLONE_NEWNET) < 0) return failed_errno(BuildStep::kReturnToBase);
  if (built) built->build_us = static_cast<std::uint64_t>(micros_between(begin, end));
  return built;
}

}  // namespace sock::netns
