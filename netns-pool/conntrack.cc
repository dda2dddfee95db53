#include "netns-pool/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "netns-pool/netlink_dump.h"
#include "netns-pool/route_request.h"

namespace sock::netns {
namespace {

constexpr std::uint16_t kDelete = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
/// CTA_FILTER_F_CTA_IP_SRC, which the kernel does not export: of the tuple, match its source.
constexpr std::uint32_t kBySource = 1;

}  // namespace

Result<Conntrack> Conntrack::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) return fail_errno("open conntrack", "netlink socket");
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
  const std::string what = "connections of " + source.to_string();
  NetlinkQuestion question;
  question.type = kDelete;
  question.flags = NLM_F_ACK;
  question.payload = request.payload();
  question.what = what;
  auto answer = ask_netlink(socket_.get(), question);
  if (!answer) return std::unexpected(answer.error());
  return {};
}

}  // namespace sock::netns
