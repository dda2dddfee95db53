#include "netns-pool/socket_census.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "netns-pool/netlink_socket.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace sock::netns {
namespace {

constexpr const char* kStep = "census of a network namespace";

struct UnixQuestion {
  nlmsghdr header;
  unix_diag_req request;
};

}  // namespace

Result<Fd> SocketCensus::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket) return fail_errno("socket", "NETLINK_SOCK_DIAG");
  return socket;
}

Result<SocketCensus> SocketCensus::adopt(Fd socket, const NamespaceId& where) {
  auto checked = check_netlink_socket(socket.get(), {NETLINK_SOCK_DIAG, "sock_diag", kStep}, where);
  if (!checked) return std::unexpected(checked.error());
  SocketCensus census;
  census.socket_ = std::move(socket);
  return census;
}

Result<std::uint64_t> SocketCensus::cookie() const {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0) {
    return fail_errno(kStep, "SO_NETNS_COOKIE");
  }
  return cookie;
}

Result<bool> SocketCensus::no_unix_socket() {
  UnixQuestion question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.request.sdiag_family = AF_UNIX;
  question.request.udiag_states = ~0U;
  if (::send(socket_.get(), &question, sizeof question, 0) != sizeof question) {
    return fail_errno(kStep, "ask for sockets");
  }
  // The answer is there when send() returns. The first message is a socket, or says that the list
  // has ended.
  alignas(nlmsghdr) char answer[8192];
  const ssize_t n = ::recv(socket_.get(), answer, sizeof answer, MSG_DONTWAIT);
  if (n < 0) return fail_errno(kStep, "read sockets");
  const auto* header = reinterpret_cast<const nlmsghdr*>(answer);
  if (!NLMSG_OK(header, static_cast<std::uint32_t>(n)) || header->nlmsg_type == NLMSG_ERROR) {
    return fail(Code::kInternal, kStep, "the kernel gives no list of sockets");
  }
  if (header->nlmsg_type != NLMSG_DONE) return false;
  // It carries how the listing went.
  int error = -1;
  if (header->nlmsg_len >= NLMSG_LENGTH(sizeof error)) {
    std::memcpy(&error, NLMSG_DATA(header), sizeof error);
  }
  if (error < 0) return fail_errno(kStep, "list sockets", -error);
  return true;
}

}  // namespace sock::netns
