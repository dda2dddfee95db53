#include "netns-pool/netlink_socket.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <string>

#include "base/fd.h"

namespace sock::netns {
namespace {

bool has_option(int socket, int option, int wanted) {
  int value = -1;
  socklen_t size = sizeof value;
  return ::getsockopt(socket, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

}  // namespace

Result<> check_netlink_socket(int socket, const NetlinkKind& kind, const NamespaceId& where) {
  if (!has_option(socket, SO_DOMAIN, AF_NETLINK) ||
      !has_option(socket, SO_PROTOCOL, kind.protocol)) {
    return fail(Code::kInvalid, kind.step,
                "the descriptor is no " + std::string(kind.name) + " socket");
  }
  const Fd its_namespace(::ioctl(socket, SIOCGSKNS));
  if (!its_namespace) return fail_errno(kind.step, "SIOCGSKNS");
  auto id = namespace_id(its_namespace.get());
  if (!id) return std::unexpected(id.error());
  if (*id == where) return {};
  return fail(Code::kInvalid, kind.step,
              "the socket is in net:[" + std::to_string(id->inode) + "], not in net:[" +
                  std::to_string(where.inode) + "]");
}

}  // namespace sock::netns
