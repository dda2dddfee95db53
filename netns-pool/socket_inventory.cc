#include "netns-pool/socket_inventory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>
#include <string>

#include "base/file.h"
#include "netns-pool/attribute_text.h"
#include "netns-pool/netlink_dump.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "count sockets";
constexpr std::string_view kFolder = "/proc/thread-self/net/";  // of this thread, not its process

/// The number after `name` in the line that begins with `line`.
std::optional<std::uint64_t> number_in(const std::string& text, std::string_view line,
                                       std::string_view name) {
  std::istringstream lines(text);
  for (std::string one; std::getline(lines, one);) {
    if (!one.starts_with(line)) continue;
    std::istringstream words(one);
    for (std::string word; words >> word;) {
      std::uint64_t number = 0;
      if (word == name && words >> number) return number;
    }
  }
  return std::nullopt;
}

constexpr std::array<std::string_view, 13> kStates{
    "",           "established", "syn-sent",    "half open",  "fin-wait-1",
    "fin-wait-2", "time-wait",   "unconnected", "close-wait", "last-ack",
    "listening",  "closing",     "half open"};

std::string_view state_name(unsigned state) { return state < kStates.size() ? kStates[state] : ""; }

std::string endpoint(int family, const std::uint32_t* address, std::uint16_t port) {
  const std::size_t size = family == AF_INET ? 4 : 16;
  const auto text = text_of({reinterpret_cast<const char*>(address), size}, Form::kAddress);
  return (family == AF_INET ? text : "[" + text + "]") + ":" + std::to_string(ntohs(port));
}

struct Protocol {
  int number;
  const char* name;
};
constexpr Protocol kInternetProtocols[] = {
    {IPPROTO_TCP, "tcp"},     {IPPROTO_UDP, "udp"},   {IPPROTO_UDPLITE, "udplite"},
    {IPPROTO_RAW, "raw"},     {IPPROTO_SCTP, "sctp"}, {IPPROTO_DCCP, "dccp"},
    {IPPROTO_MPTCP, "mptcp"},
};

class SocketLister {
 public:
  SocketLister(int diag, const std::set<std::uint64_t>& except, std::vector<Item>& items)
      : diag_(diag), except_(except), items_(items) {}

  Result<> run() {
    for (const int family : {AF_INET, AF_INET6}) {
      for (const auto& protocol : kInternetProtocols) {
        if (auto listed = internet(family, protocol); !listed) return listed;
      }
    }
    auto done = unix_family();
    if (done) done = packet();
    if (done) done = netlink();
    if (done) done = without_diag();
    return done;
  }

 private:
  template <class Request>
  Result<> list(const Request& request, const std::function<void(const nlmsghdr&)>& visit) {
    NetlinkQuestion question;
    question.type = SOCK_DIAG_BY_FAMILY;
    question.flags = NLM_F_DUMP;
    question.payload = {reinterpret_cast<const char*>(&request), sizeof request};
    question.what = "list of sockets";
    auto answer = ask_netlink(diag_, question);
    if (!answer) {
      // A kernel without the protocol, or without a list of it; what there is was counted.
      const int error = answer.error().sys_errno;
      if (error == ENOENT || error == EINVAL || error == EOPNOTSUPP) return {};
      return std::unexpected(answer.error());
    }
    answer->each(visit);
    return {};
  }

  void add(std::string what) { items_.push_back({Stain::kSocket, std::move(what), ""}); }

  Result<> internet(int family, const Protocol& protocol) {
    struct {
      inet_diag_req_v2 request;
      nlattr attribute;
      std::uint32_t protocol;
    } request{};
    request.request.sdiag_family = static_cast<std::uint8_t>(family);
    request.request.sdiag_protocol = static_cast<std::uint8_t>(protocol.number);
    request.request.idiag_states = ~0U;
    request.attribute.nla_len = sizeof request.attribute + sizeof request.protocol;
    request.attribute.nla_type = INET_DIAG_REQ_PROTOCOL;  // for numbers above a byte
    request.protocol = static_cast<std::uint32_t>(protocol.number);
    if (protocol.number > 255) request.request.sdiag_protocol = IPPROTO_TCP;
    return list(request, [&](const nlmsghdr& message) {
      const auto socket = header_of<inet_diag_msg>(message);
      std::string what(protocol.name);
      what += " " + endpoint(family, socket.id.idiag_src, socket.id.idiag_sport);
      if (socket.id.idiag_dport != 0) {
        what += " to " + endpoint(family, socket.id.idiag_dst, socket.id.idiag_dport);
      }
      what += " " + std::string(state_name(socket.idiag_state));
      // The last stage of a connection, and the one before where its socket is gone already.
      constexpr std::uint8_t kTimeWait = 6;
      constexpr std::uint8_t kFinWait2 = 5;
      const bool remembered =
          socket.idiag_state == kTimeWait ||
          (socket.idiag_state == kFinWait2 && socket.idiag_inode == 0 && socket.idiag_timer == 3);
      items_.push_back({remembered ? Stain::kTimeWait : Stain::kSocket, std::move(what), ""});
    });
  }

  Result<> unix_family() {
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = ~0U;
    request.udiag_show = UDIAG_SHOW_NAME;
    return list(request, [&](const nlmsghdr& message) {
      const auto socket = header_of<unix_diag_msg>(message);
      const auto name = Attributes(message, sizeof socket).find(UNIX_DIAG_NAME);
      std::string what = socket.udiag_type == SOCK_STREAM  ? "unix stream"
                         : socket.udiag_type == SOCK_DGRAM ? "unix datagram"
                                                           : "unix seqpacket";
      if (name.size() > 1 && name.front() == '\0') {
        what += " @" + text_of(name.subspan(1), Form::kText);
      } else if (!name.empty()) {
        what += " " + text_of(name, Form::kText);
      }
      add(what + " " + std::string(state_name(socket.udiag_state)));
    });
  }

  Result<> packet() {
    packet_diag_req request{};
    request.sdiag_family = AF_PACKET;
    return list(request, [&](const nlmsghdr& message) {
      const auto socket = header_of<packet_diag_msg>(message);
      add(std::string("packet ") + (socket.pdiag_type == SOCK_RAW ? "raw" : "datagram") +
          ", protocol " + std::to_string(socket.pdiag_num));
    });
  }

  Result<> netlink() {
    netlink_diag_req request{};
    request.sdiag_family = AF_NETLINK;
    request.sdiag_protocol = NDIAG_PROTO_ALL;
    return list(request, [&](const nlmsghdr& message) {
      const auto socket = header_of<netlink_diag_msg>(message);
      if (socket.ndiag_portid == 0 || except_.contains(socket.ndiag_ino)) return;  // 0: the kernel
      add("netlink, protocol " + std::to_string(socket.ndiag_protocol) + ", port " +
          std::to_string(socket.ndiag_portid));
    });
  }

  /// Raw sockets are without sock_diag on many kernels, ping sockets on all.
  Result<> without_diag() {
    for (const std::string name : {"raw", "raw6", "icmp", "icmp6"}) {
      auto text = read_file(AT_FDCWD, std::string(kFolder) + name, NetlinkAnswer::kMost);
      if (!text && text.error().sys_errno == ENOENT) continue;
      if (!text) return std::unexpected(text.error());
      std::istringstream lines(*text);
      std::string line;
      std::getline(lines, line);  // the heading
      while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string slot;
        std::string local;
        words >> slot >> local;
        unsigned number = 0;  // raw: the protocol; ping: the identifier
        const auto colon = local.find(':');
        if (colon == std::string::npos) continue;
        std::from_chars(local.data() + colon + 1, local.data() + local.size(), number, 16);
        const bool raw = name.starts_with("raw");
        add((raw ? "raw" : "ping") + std::string(name.ends_with('6') ? " IPv6" : "") +
            (raw ? ", protocol " : ", identifier ") + std::to_string(number));
      }
    }
    return {};
  }

  int diag_;
  const std::set<std::uint64_t>& except_;
  std::vector<Item>& items_;
};

Result<std::string> read_or_nothing(std::string_view name) {
  auto text = read_file(AT_FDCWD, std::string(kFolder) + std::string(name));
  if (!text && text.error().sys_errno == ENOENT) return std::string();
  return text;
}

}  // namespace

Result<SocketCount> count_sockets() {
  auto text = read_file(AT_FDCWD, std::string(kFolder) + "sockstat");
  if (!text) return std::unexpected(text.error());
  const auto sockets = number_in(*text, "sockets:", "used");
  const auto time_wait = number_in(*text, "TCP:", "tw");
  const auto fragments = number_in(*text, "FRAG:", "inuse");
  if (!sockets || !time_wait || !fragments) {
    return fail(Code::kInternal, kStep, "/proc/net/sockstat is not as expected: " + *text);
  }
  auto ipv6 = read_or_nothing("sockstat6");
  if (!ipv6) return std::unexpected(ipv6.error());
  auto protocols = read_or_nothing("protocols");
  if (!protocols) return std::unexpected(protocols.error());
  return SocketCount{*sockets, *time_wait,
                     *fragments + number_in(*ipv6, "FRAG6:", "inuse").value_or(0),
                     protocols->find("DCCP") != std::string::npos};
}

Result<> list_sockets(int diag, const std::set<std::uint64_t>& except, std::vector<Item>& items) {
  return SocketLister(diag, except, items).run();
}

}  // namespace sock::netns
