#include "tests/netns-pool/death_watch.h"

#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <thread>

namespace sock::netns::testing {

Result<DeathWatch> DeathWatch::create() {
  Fd events;
  Fd requests;
  // A thread, so that the test's own network namespace stays what it is and gets no ids.
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) < 0) return;
    events = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    requests = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  }).join();
  const int space = 4 << 20;
  // A bound port: the kernel's own events count as sent by port 0 and never come back to "it".
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  const int group = RTNLGRP_NSID;
  if (!events || !requests ||
      ::bind(events.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 ||
      ::setsockopt(events.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0 ||
      ::setsockopt(events.get(), SOL_SOCKET, SO_RCVBUFFORCE, &space, sizeof space) < 0) {
    return fail_errno("death watch", "netlink sockets");
  }
  return DeathWatch(std::move(events), std::move(requests));
}

Result<> DeathWatch::watch(int netns) {
  struct {
    nlmsghdr header;
    rtgenmsg message;
    char padding[3];
    nlattr id_header;
    std::int32_t id;
    nlattr fd_header;
    std::int32_t fd;
  } request{};
  static_assert(sizeof request == 36);
  request.header = {sizeof request, RTM_NEWNSID, NLM_F_REQUEST | NLM_F_ACK, 1, 0};
  request.id_header = {8, NETNSA_NSID};
  request.id = next_id_;
  request.fd_header = {8, NETNSA_FD};
  request.fd = netns;
  if (::send(requests_.get(), &request, sizeof request, 0) < 0) return fail_errno("send", "");
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[256];
  } answer{};
  if (::recv(requests_.get(), &answer, sizeof answer, 0) < 0) return fail_errno("recv", "");
  if (answer.error.error != 0) return fail_errno("RTM_NEWNSID", "", -answer.error.error);
  alive_.insert(next_id_++);
  return {};
}

Result<std::size_t> DeathWatch::alive(Millis wait) {
  const auto deadline = Clock::now() + wait;
  while (!alive_.empty()) {
    const auto left = std::chrono::duration_cast<Millis>(deadline - Clock::now());
    pollfd poll{events_.get(), POLLIN, 0};
    if (::poll(&poll, 1, static_cast<int>(std::max<Millis>(left, Millis{0}).count())) == 0) break;
    alignas(nlmsghdr) std::array<char, 8192> buffer{};
    const ssize_t size = ::recv(events_.get(), buffer.data(), buffer.size(), 0);
    if (size < 0) return fail_errno("recv", "events");
    auto left_bytes = static_cast<std::size_t>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data());
         left_bytes >= sizeof *header && header->nlmsg_len <= left_bytes;) {
      // rtgenmsg, padded, then the one attribute that matters here.
      const char* at = reinterpret_cast<const char*>(header) + NLMSG_HDRLEN + 4;
      const char* end = reinterpret_cast<const char*>(header) + header->nlmsg_len;
      while (header->nlmsg_type == RTM_DELNSID && at + sizeof(nlattr) <= end) {
        nlattr attribute{};
        std::memcpy(&attribute, at, sizeof attribute);
        if (attribute.nla_len < sizeof attribute) break;
        if (attribute.nla_type == NETNSA_NSID) {
          int id = -1;
          std::memcpy(&id, at + sizeof attribute, sizeof id);
          alive_.erase(id);
        }
        at += NLA_ALIGN(attribute.nla_len);
      }
      const std::size_t step = NLMSG_ALIGN(header->nlmsg_len);
      if (step >= left_bytes) break;
      left_bytes -= step;
      header = reinterpret_cast<nlmsghdr*>(reinterpret_cast<char*>(header) + step);
    }
  }
  return alive_.size();
}

}  // namespace sock::netns::testing
