#include "netns-pool/rtnetlink.h"

#include <linux/if.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "netns-pool/netlink_socket.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "open rtnetlink";

LinkInfo info_of(rtnl_link* link) {
  const char* name = rtnl_link_get_name(link);
  const char* kind = rtnl_link_get_type(link);
  return {rtnl_link_get_ifindex(link), name == nullptr ? "" : name, kind == nullptr ? "" : kind,
          rtnl_link_get_group(link), rtnl_link_get_operstate(link) == IF_OPER_UP};
}

}  // namespace

/// libnl by itself would turn the kernel's errno into one of a coarser set of its own.
int Rtnetlink::take_refusal(sockaddr_nl* /*from*/, nlmsgerr* answer, void* out) {
  auto& refusal = *static_cast<Refusal*>(out);
  refusal.error = -answer->error;
  auto* header = reinterpret_cast<nlmsghdr*>(answer) - 1;  // nlmsgerr is all that follows it
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0) {
    if (nlattr* words = nlmsg_find_attr(header, sizeof *answer, NLMSGERR_ATTR_MSG)) {
      refusal.words = nla_get_string(words);
    }
  }
  return -NLE_FAILURE;
}

Result<Fd> Rtnetlink::open_socket() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return fail_errno(kStep, "socket");
  // libnl adopts the port number that the kernel has given, so there must be one.
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno(kStep, "bind");
  }
  return socket;
}

Result<Rtnetlink> Rtnetlink::open() {
  auto socket = open_socket();
  if (!socket) return std::unexpected(socket.error());
  return wrap(std::move(*socket));
}

Result<Rtnetlink> Rtnetlink::adopt(Fd socket, const NamespaceId& where) {
  auto checked = check_netlink_socket(socket.get(), {NETLINK_ROUTE, "rtnetlink", kStep}, where);
  if (!checked) return std::unexpected(checked.error());
  return wrap(std::move(socket));
}

Result<Rtnetlink> Rtnetlink::wrap(Fd socket) {
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) < 0 ||
      ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) < 0) {
    return fail_errno(kStep, "extended answers");
  }
  NetlinkSocket handle(nl_socket_alloc());
  if (!handle) return fail_errno(kStep, "allocate", ENOMEM);
  if (const int error = nl_socket_set_fd(handle.get(), NETLINK_ROUTE, socket.get()); error < 0) {
    return fail(Code::kInternal, kStep, nl_geterror(error));
  }
  (void)socket.release();
  auto refusal = std::make_unique<Refusal>();
  nl_socket_modify_err_cb(handle.get(), NL_CB_CUSTOM, take_refusal, refusal.get());
  return Rtnetlink(std::move(handle), std::move(refusal));
}

Result<> Rtnetlink::ask(const RouteRequest& request, std::string_view step, std::string_view what) {
  if (request.message() == nullptr) {
    return fail_errno(step, std::string(what) + ": the request is too long", EMSGSIZE);
  }
  *refusal_ = {};
  int error = nl_send_auto(socket_.get(), request.message());
  if (error >= 0) error = nl_wait_for_ack(socket_.get());
  if (refusal_->error != 0) {
    std::string message(what);
    if (!refusal_->words.empty()) message += ": " + refusal_->words;
    return fail_errno(step, std::move(message), refusal_->error);
  }
  if (error < 0) return fail(Code::kInternal, step, std::string(what) + ": " + nl_geterror(error));
  return {};
}

Result<LinkInfo> Rtnetlink::link(std::string_view name) {
  constexpr const char* kFind = "find link";
  *refusal_ = {};
  rtnl_link* found = nullptr;
  const std::string terminated(name);
  const int error = rtnl_link_get_kernel(socket_.get(), 0, terminated.c_str(), &found);
  const NetlinkLink link(found);
  if (refusal_->error == ENODEV || error == -NLE_NODEV) {
    return fail(Code::kNotFound, kFind, terminated);
  }
  if (error < 0) return fail(Code::kInternal, kFind, terminated + ": " + nl_geterror(error));
  return info_of(link.get());
}

Result<bool> Rtnetlink::is_local(const boost::asio::ip::address_v6& address) {
  const auto bytes = address.to_bytes();
  const NetlinkAddress wanted(nl_addr_build(AF_INET6, bytes.data(), bytes.size()));
  if (!wanted) return fail_errno("look up route", "allocate", ENOMEM);
  *refusal_ = {};
  rtnl_route* found = nullptr;
  const int error = rtnl_route_lookup(socket_.get(), wanted.get(), &found);
  const NetlinkRoute route(found);
  if (refusal_->error == ENETUNREACH) return false;
  if (error < 0) {
    return fail(Code::kInternal, "look up route", address.to_string() + ": " + nl_geterror(error));
  }
  return rtnl_route_get_type(route.get()) == RTN_LOCAL;
}

Result<std::vector<LinkInfo>> Rtnetlink::links() {
  nl_cache* filled = nullptr;
  if (const int error = rtnl_link_alloc_cache(socket_.get(), AF_UNSPEC, &filled); error < 0) {
    return fail(Code::kInternal, "list links", nl_geterror(error));
  }
  const NetlinkCache cache(filled);
  std::vector<LinkInfo> all;
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr;
       object = nl_cache_get_next(object)) {
    all.push_back(info_of(reinterpret_cast<rtnl_link*>(object)));
  }
  return all;
}

int Rtnetlink::fd() const { return nl_socket_get_fd(socket_.get()); }

}  // namespace sock::netns
