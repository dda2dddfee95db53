#pragma once

#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/route/link.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>

#include <memory>

namespace sock::netns {

/// Owners of libnl's objects.
template <auto Function>
struct NetlinkDeleter {
  template <class T>
  void operator()(T* object) const {
    Function(object);
  }
};
using NetlinkSocket = std::unique_ptr<nl_sock, NetlinkDeleter<nl_socket_free>>;
using NetlinkMessage = std::unique_ptr<nl_msg, NetlinkDeleter<nlmsg_free>>;
using NetlinkCache = std::unique_ptr<nl_cache, NetlinkDeleter<nl_cache_free>>;
using NetlinkAddress = std::unique_ptr<nl_addr, NetlinkDeleter<nl_addr_put>>;
using NetlinkRoute = std::unique_ptr<rtnl_route, NetlinkDeleter<rtnl_route_put>>;
using NetlinkLink = std::unique_ptr<rtnl_link, NetlinkDeleter<rtnl_link_put>>;

}  // namespace sock::netns
