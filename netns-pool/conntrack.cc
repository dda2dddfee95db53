#include "netns-pool/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "netns-pool/route_request.h"

namespace sock::netns {
namespace {

constexpr int kDelete = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
/// CTA_FILTER_F_CTA_IP_SRC, which the kernel does not export: of the tuple, match its source.
constexpr std::uint32_t kBySource = 1;

/// libnl has numbers of its own for what the kernel answers; only one is told apart by callers.
int errno_of(int error) { return -error == NLE_INVAL ? EINVAL : EIO; }

}  // namespace

Result<Conntrack> Conntrack::open() {
  constexpr const char* kStep = "open conntrack";
  NetlinkSocket socket(nl_socket_alloc());
  if (!socket) return fail_errno(kStep, "allocate", ENOMEM);
  if (const int error = nl_connect(socket.get(), NETLINK_NETFILTER); error < 0) {
    return fail(Code::kInternal, kStep, nl_geterror(error));
  }
  return Conntrack(std::move(socket));
}

Result<> Conntrack::forget(const boost::asio::ip::address_v4& source, std::uint16_t zone) {
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = 1;  // without one the kernel ignores the family
  RouteRequest request(kDelete, 0, header);
  // Never without the tuple, which by itself would mean the whole table.
  request.nest(CTA_TUPLE_ORIG, [&](RouteRequest& tuple) {
    tuple.nest(CTA_TUPLE_IP,
               [&](RouteRequest& ip) { ip.put(CTA_IP_V4_SRC, boost::asio::ip::address(source)); });
  });
  const std::array<std::uint8_t, 2> number{static_cast<std::uint8_t>(zone >> 8U),
                                           static_cast<std::uint8_t>(zone)};
  request.put(CTA_ZONE, number);
  request.nest(CTA_FILTER, [](RouteRequest& filter) {
    filter.put(CTA_FILTER_ORIG_FLAGS, kBySource).put(CTA_FILTER_REPLY_FLAGS, std::uint32_t{0});
  });
  if (request.message() == nullptr) return fail_errno("forget connections", "write", EMSGSIZE);
  int error = nl_send_auto(socket_.get(), request.message());
  if (error >= 0) error = nl_wait_for_ack(socket_.get());
  if (error < 0) {
    return fail_errno("forget connections", source.to_string() + ": " + nl_geterror(error),
                      errno_of(error));
  }
  return {};
}

}  // namespace sock::netns
