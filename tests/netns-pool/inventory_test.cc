// A namespace like a sandbox's, dirtied in every way; and used honestly.
#include "netns-pool/inventory.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fib_rules.h>
#include <linux/if_addrlabel.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/in6.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/nexthop.h>
#include <linux/pkt_sched.h>
#include <linux/veth.h>
#include <linux/vm_sockets.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "netns-pool/inspector.h"
#include "netns-pool/link_requests.h"
#include "netns-pool/namespace_id.h"
#include "netns-pool/nftables.h"
#include "tests/netns-pool/nat_fixture.h"
#include "tests/netns-pool/support.h"

namespace sock::netns {

void PrintTo(const Difference& found, std::ostream* out) {
  *out << to_string(found.stain) << ": " << found.detail;
}

namespace {

namespace ip = boost::asio::ip;
using testing::ask;
using testing::inside;
using testing::make_namespace;
using testing::NatTest;
using testing::Transport;
using testing::World;

using Held = std::vector<Fd>;

constexpr std::uint32_t kEth0 = 2;
constexpr const char* kUnlisted = "1 that the kernel does not list";

template <class... Fds>
Held held(Fds&&... fds) {
  Held all;
  (all.push_back(std::forward<Fds>(fds)), ...);
  return all;
}

Fd socket_of(int family, int type, int protocol = 0) {
  Fd made(::socket(family, type | SOCK_CLOEXEC, protocol));
  EXPECT_TRUE(made) << "family " << family << ": " << std::strerror(errno);
  return made;
}

bool offered(int family, int type, int protocol = 0) {
  return Fd(::socket(family, type | SOCK_CLOEXEC, protocol)).valid();
}

sockaddr_in at(const char* address, std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = ::inet_addr(address);
  return out;
}

sockaddr_in6 at6(const char* address, std::uint16_t port) {
  sockaddr_in6 out{};
  out.sin6_family = AF_INET6;
  out.sin6_port = htons(port);
  ::inet_pton(AF_INET6, address, &out.sin6_addr);
  return out;
}

template <class Address>
void bind_to(const Fd& socket, const Address& address) {
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
}

template <class Address>
void connect_to(const Fd& socket, const Address& address) {
  EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
}

template <class Address>
Fd bound(int type, const Address& address, int protocol = 0) {
  Fd made = socket_of(reinterpret_cast<const sockaddr*>(&address)->sa_family, type, protocol);
  bind_to(made, address);
  return made;
}

template <class Address>
Fd listening(const Address& address, int protocol = 0) {
  Fd made = bound(SOCK_STREAM, address, protocol);
  EXPECT_EQ(::listen(made.get(), 4), 0);
  return made;
}

Fd unix_bound(int type, const std::string& name) {
  Fd made = socket_of(AF_UNIX, type);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), size), 0);
  return made;
}

/// Two ends of a connection over loopback, without the listener.
struct Connection {
  Fd client;
  Fd server;
};

Connection connection(std::uint16_t port) {
  const Fd listener = listening(at("127.0.0.1", port));
  Connection made{socket_of(AF_INET, SOCK_STREAM), Fd()};
  connect_to(made.client, at("127.0.0.1", port));
  made.server = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(made.server);
  return made;
}

void reset_on_close(const Fd& socket) {
  const linger at_once{1, 0};
  ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
}

bool end_of(const Fd& socket) {
  pollfd poll{socket.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&poll, 1, 5000) == 1 && ::read(socket.get(), &byte, 1) == 0;
}

/// Asks a server that closes first, so that there is no TIME_WAIT on this side.
template <class Address>
void fetch(const Address& server) {
  const Fd client = socket_of(reinterpret_cast<const sockaddr*>(&server)->sa_family, SOCK_STREAM);
  connect_to(client, server);
  char text[64];
  EXPECT_GT(::read(client.get(), text, sizeof text), 0);
  EXPECT_TRUE(end_of(client));
}

bool reaches(const Fd& socket, int state) {
  const auto deadline = Clock::now() + testing::kPatience;
  tcp_info info{};
  do {
    socklen_t size = sizeof info;
    if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return false;
  } while (info.tcpi_state != state && Clock::now() < deadline);
  return info.tcpi_state == state;
}

Rtnetlink route_here() {
  auto route = Rtnetlink::open();
  EXPECT_TRUE(route);
  return std::move(*route);
}

void ask_here(const RouteRequest& request) {
  auto route = route_here();
  const auto done = route.ask(request, "test", "change");
  ASSERT_TRUE(done) << done.error().describe();
}

void change_link(const char* name, const std::function<void(RouteRequest&)>& fill,
                 unsigned flags = 0, unsigned changed = 0) {
  ifinfomsg header{};
  header.ifi_flags = flags;
  header.ifi_change = changed;
  RouteRequest request(RTM_NEWLINK, 0, header);
  request.put(IFLA_IFNAME, name);
  fill(request);
  ask_here(request);
}

void make_link(const char* name, const char* kind) {
  RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.put(IFLA_IFNAME, name);
  request.nest(IFLA_LINKINFO, [&](RouteRequest& info) { info.put(IFLA_INFO_KIND, kind); });
  ask_here(request);
}

void change_address(int type, const char* address, std::uint8_t length, std::uint32_t index) {
  const auto parsed = ip::make_address(address);
  ifaddrmsg header{};
  header.ifa_family = parsed.is_v4() ? AF_INET : AF_INET6;
  header.ifa_prefixlen = length;
  header.ifa_index = index;
  RouteRequest request(type, type == RTM_NEWADDR ? NLM_F_CREATE : 0, header);
  request.put(IFA_LOCAL, parsed).put(IFA_ADDRESS, parsed);
  ask_here(request);
}

struct Route {
  const char* to;
  std::uint8_t length;
  std::uint8_t type = RTN_UNICAST;
  std::uint8_t table = RT_TABLE_MAIN;
};

void add_route(const Route& route) {
  const auto to = ip::make_address(route.to);
  rtmsg header{};
  header.rtm_family = to.is_v4() ? AF_INET : AF_INET6;
  header.rtm_dst_len = route.length;
  header.rtm_table = route.table;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = route.type;
  header.rtm_scope = to.is_v4() && route.type == RTN_UNICAST ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  RouteRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
  request.put(RTA_DST, to);
  if (route.type == RTN_UNICAST) request.put(RTA_OIF, kEth0);
  ask_here(request);
}

void add_rule(std::uint8_t family) {
  fib_rule_hdr header{};
  header.family = family;
  header.action = FR_ACT_TO_TBL;
  header.table = RT_TABLE_DEFAULT;
  RouteRequest request(RTM_NEWRULE, NLM_F_CREATE, header);
  request.put(FRA_PRIORITY, std::uint32_t{77});
  ask_here(request);
}

void set_neighbour(const char* address, std::uint16_t state, std::uint8_t flags = 0,
                   int index = kEth0, const MacAddress& mac = {2, 0, 0, 0, 0, 9}) {
  const auto parsed = ip::make_address(address);
  ndmsg header{};
  header.ndm_family = parsed.is_v4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = index;
  header.ndm_state = state;
  header.ndm_flags = flags;
  RouteRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  request.put(NDA_DST, parsed);
  if (flags != NTF_PROXY) request.put(NDA_LLADDR, mac);
  ask_here(request);
}

void add_qdisc(std::uint32_t parent, std::uint32_t handle, const char* kind) {
  tcmsg header{};
  header.tcm_ifindex = kEth0;
  header.tcm_parent = parent;
  header.tcm_handle = handle;
  RouteRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(TCA_KIND, kind);
  ask_here(request);
}

void add_link_layer_address(const char* link) {
  const Fd any = socket_of(AF_INET, SOCK_DGRAM);
  ifreq request{};
  std::strncpy(request.ifr_name, link, IFNAMSIZ - 1);
  const MacAddress mac{0x33, 0x33, 0xaa, 0xbb, 0xcc, 0xdd};
  std::memcpy(request.ifr_hwaddr.sa_data, mac.data(), mac.size());
  ASSERT_EQ(::ioctl(any.get(), SIOCADDMULTI, &request), 0) << std::strerror(errno);
}

void set_setting(const std::string& name, const char* value) {
  const auto done = write_control(AT_FDCWD, "/proc/sys/net/" + name, value);
  ASSERT_TRUE(done) << done.error().describe();
}

void add_ipsec_policy() {
  struct {
    nlmsghdr header;
    xfrm_userpolicy_info policy;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = XFRM_MSG_NEWPOLICY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  request.policy.sel.family = AF_INET;
  request.policy.lft.soft_byte_limit = request.policy.lft.hard_byte_limit = XFRM_INF;
  request.policy.lft.soft_packet_limit = request.policy.lft.hard_packet_limit = XFRM_INF;
  request.policy.dir = XFRM_POLICY_OUT;
  const Fd ipsec = socket_of(AF_NETLINK, SOCK_RAW, NETLINK_XFRM);
  ASSERT_EQ(::send(ipsec.get(), &request, sizeof request, 0), static_cast<ssize_t>(sizeof request));
  struct {
    nlmsghdr header;
    nlmsgerr verdict;
  } answer{};
  ASSERT_GT(::recv(ipsec.get(), &answer, sizeof answer, 0), 0);
  ASSERT_EQ(answer.verdict.error, 0) << std::strerror(-answer.verdict.error);
}

void load_rules(const std::string& rules) {
  auto nftables = Nftables::open();
  ASSERT_TRUE(nftables);
  const auto done = nftables->run(rules, "test");
  ASSERT_TRUE(done) << done.error().describe();
}

/// A path MTU as a router on the way would tell it, for a connected socket's destination.
void learn_path_mtu(const char* from, const char* to) {
  const Fd udp = bound(SOCK_DGRAM, at(from, 40'000));
  connect_to(udp, at(to, 9));
  struct {
    icmphdr icmp;
    iphdr ip;
    std::uint16_t ports[4];
  } packet{};
  packet.icmp.type = ICMP_DEST_UNREACH;
  packet.icmp.code = ICMP_FRAG_NEEDED;
  packet.icmp.un.frag.mtu = htons(700);
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.protocol = IPPROTO_UDP;
  packet.ip.tot_len = htons(1400);
  packet.ip.saddr = ::inet_addr(from);
  packet.ip.daddr = ::inet_addr(to);
  packet.ports[0] = htons(40'000);
  packet.ports[1] = htons(9);
  std::uint32_t sum = 0;
  std::uint16_t words[sizeof packet / 2];
  std::memcpy(words, &packet, sizeof packet);
  for (const auto one : words) sum += one;
  sum = (sum & 0xffffU) + (sum >> 16U);
  packet.icmp.checksum = static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
  const Fd raw = socket_of(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  const auto own = at(from, 0);
  ASSERT_EQ(::sendto(raw.get(), &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&own),
                     sizeof own),
            static_cast<ssize_t>(sizeof packet))
      << std::strerror(errno);
}

void send_half_a_packet() {
  struct {
    iphdr ip;
    char data[64];
  } packet{};
  packet.ip.version = 4;
  packet.ip.ihl = 5;
  packet.ip.ttl = 9;
  packet.ip.protocol = IPPROTO_UDP;
  packet.ip.id = htons(7);
  packet.ip.frag_off = htons(IP_MF);
  packet.ip.daddr = ::inet_addr("127.0.0.1");
  packet.ip.saddr = ::inet_addr("127.0.0.1");
  const Fd raw = socket_of(AF_INET, SOCK_RAW, IPPROTO_RAW);
  const auto to = at("127.0.0.1", 0);
  ASSERT_EQ(::sendto(raw.get(), &packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&to),
                     sizeof to),
            static_cast<ssize_t>(sizeof packet))
      << std::strerror(errno);
}

void leave_flow_label() {
  const Fd socket = socket_of(AF_INET6, SOCK_DGRAM);
  in6_flowlabel_req request{};
  request.flr_dst.s6_addr[15] = 1;
  request.flr_label = htonl(0x4711);
  request.flr_action = IPV6_FL_A_GET;
  request.flr_share = IPV6_FL_S_ANY;
  request.flr_flags = IPV6_FL_F_CREATE;
  request.flr_linger = 60;
  ASSERT_EQ(::setsockopt(socket.get(), SOL_IPV6, IPV6_FLOWLABEL_MGR, &request, sizeof request), 0)
      << std::strerror(errno);
}

struct Dirt {
  const char* name;
  Stain stain;
  const char* detail;          // part of it
  std::function<Held()> make;  // in the namespace; what it returns is held while it is looked at
};

class InventoryTest : public NatTest {
 protected:
  /// A sandbox's namespace, and how it was built.
  struct Box {
    Fd netns;
    std::unique_ptr<Inspector> inspector;
    Inventory built;
  };

  Box open(Fd netns) {
    auto inspector = Inspector::open(netns.get());
    EXPECT_TRUE(inspector) << inspector.error().describe();
    Box box{std::move(netns), std::make_unique<Inspector>(std::move(*inspector)), {}};
    box.built = take(box);
    return box;
  }
  Box nat() { return open(sandbox(tenant(next_++))); }

  /// The kernel may take its time over sockets that the test has used and closed.
  static Inventory take(Box& box) {
    const auto deadline = Clock::now() + testing::kPatience;
    for (;;) {
      Result<Inventory> taken;
      std::thread([&] { taken = box.inspector->take(); }).join();  // not the process's first
      EXPECT_TRUE(taken) << taken.error().describe();
      if (!taken) return {};
      const auto unlisted = std::ranges::any_of(taken->items, [](const Item& item) {
        return item.what.find("does not list") != std::string::npos;
      });
      if (!unlisted || Clock::now() > deadline) return std::move(*taken);
    }
  }

  static std::optional<Difference> look(Box& box) { return difference(box.built, take(box)); }
  static std::optional<Difference> look_once(Box& box) {
    const auto taken = box.inspector->take();
    EXPECT_TRUE(taken) << taken.error().describe();
    return taken ? difference(box.built, *taken) : std::nullopt;
  }

  void expect_stains(const std::vector<Dirt>& ways) {
    for (const auto& way : ways) {
      SCOPED_TRACE(way.name);
      auto box = nat();
      ASSERT_FALSE(look(box)) << ::testing::PrintToString(*look(box));
      Held keep;
      inside(box.netns.get(), [&] { keep = way.make(); });
      const auto found = std::string_view(way.detail) == kUnlisted ? look_once(box) : look(box);
      ASSERT_TRUE(found) << "looks clean";
      EXPECT_EQ(to_string(found->stain), to_string(way.stain)) << found->detail;
      EXPECT_NE(found->detail.find(way.detail), std::string::npos) << found->detail;
    }
  }

  void expect_clean(const std::string& what, Box& box) {
    const auto found = look(box);
    EXPECT_FALSE(found) << what << " leaves " << ::testing::PrintToString(*found);
  }

  std::uint16_t next_ = 0;
};

TEST_F(InventoryTest, NamesSocketsOfEveryKind) {
  expect_stains({
      {"tcp listener", Stain::kSocket, "tcp 127.0.0.1:8080 listening",
       [] { return held(listening(at("127.0.0.1", 8080))); }},
      {"tcp6 listener", Stain::kSocket, "tcp [::1]:8081 listening",
       [] { return held(listening(at6("::1", 8081))); }},
      {"tcp unbound", Stain::kSocket, kUnlisted,
       [] { return held(socket_of(AF_INET, SOCK_STREAM)); }},
      {"tcp connected", Stain::kSocket, "established",
       [] {
         auto made = connection(8082);
         return held(std::move(made.client), std::move(made.server));
       }},
      {"udp bound", Stain::kSocket, "udp 127.0.0.1:5353",
       [] { return held(bound(SOCK_DGRAM, at("127.0.0.1", 5353))); }},
      {"udp6 bound", Stain::kSocket, "udp [::1]:5354",
       [] { return held(bound(SOCK_DGRAM, at6("::1", 5354))); }},
      {"raw", Stain::kSocket, "raw, protocol 255",
       [] { return held(socket_of(AF_INET, SOCK_RAW, IPPROTO_RAW)); }},
      {"raw6", Stain::kSocket, "raw IPv6, protocol 58",
       [] { return held(socket_of(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)); }},
      {"unix abstract", Stain::kSocket, "unix stream @hidden",
       [] { return held(unix_bound(SOCK_STREAM, std::string("\0hidden", 7))); }},
      {"unix path", Stain::kSocket, "unix datagram /tmp/",
       [] {
         const auto path = "/tmp/sock-inventory-" + std::to_string(::getpid());
         Fd made = unix_bound(SOCK_DGRAM, path);
         ::unlink(path.c_str());
         return held(std::move(made));
       }},
      {"unix unnamed", Stain::kSocket, "unix seqpacket",
       [] { return held(socket_of(AF_UNIX, SOCK_SEQPACKET)); }},
      {"packet", Stain::kSocket, "packet raw",
       [] { return held(socket_of(AF_PACKET, SOCK_RAW, htons(0x88b5))); }},
      {"netlink", Stain::kSocket, "netlink, protocol 0, port",
       [] {
         auto made = Rtnetlink::open_socket();
         return held(std::move(*made));
       }},
  });
  // Of the kinds that not every kernel has.
  std::vector<Dirt> ways;
  if (offered(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)) {
    ways.push_back({"udplite bound", Stain::kSocket, "udplite 127.0.0.1:5355", [] {
                      return held(bound(SOCK_DGRAM, at("127.0.0.1", 5355), IPPROTO_UDPLITE));
                    }});
  }
  if (offered(AF_INET, SOCK_STREAM, IPPROTO_MPTCP)) {
    ways.push_back({"mptcp listener", Stain::kSocket, "127.0.0.1:8083 listening",
                    [] { return held(listening(at("127.0.0.1", 8083), IPPROTO_MPTCP)); }});
  }
  for (const int family : {AF_VSOCK, AF_XDP, AF_ALG}) {
    const int type = family == AF_VSOCK ? SOCK_STREAM
                     : family == AF_XDP ? SOCK_RAW
                                        : SOCK_SEQPACKET;
    if (!offered(family, type)) continue;
    ways.push_back({"a family without a list", Stain::kSocket, kUnlisted,
                    [=] { return held(socket_of(family, type)); }});
  }
  expect_stains(ways);
}

TEST_F(InventoryTest, NamesAPingSocket) {
  auto box = nat();
  // The right to make one is a setting of the namespace, so it is part of how this one was built.
  inside(box.netns.get(), [] { set_setting("ipv4/ping_group_range", "0 2147483647"); });
  box.built = take(box);
  Fd ping;
  inside(box.netns.get(), [&] { ping = bound(SOCK_DGRAM, at("127.0.0.1", 321), IPPROTO_ICMP); });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->detail, "ping, identifier 321");
}

TEST_F(InventoryTest, ASocketThatWasThereBeforeIsAStainAllTheSame) {
  Fd netns = make_namespace();
  Fd listener;
  inside(netns.get(), [&] { listener = listening(at("127.0.0.1", 8080)); });
  auto box = open(std::move(netns));
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->stain, Stain::kSocket);
}

TEST_F(InventoryTest, KnownSocketsAreNone) {
  Fd netns = make_namespace();
  Fd mine;
  Fd other;
  inside(netns.get(), [&] {
    mine = Rtnetlink::open_socket().value();
    other = socket_of(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);  // not bound, so in no list
  });
  const std::array<int, 2> known{mine.get(), other.get()};
  auto inspector = Inspector::open(netns.get(), known);
  ASSERT_TRUE(inspector) << inspector.error().describe();
  Box box{std::move(netns), std::make_unique<Inspector>(std::move(*inspector)), {}};
  box.built = take(box);
  expect_clean("nothing", box);
  Fd theirs;
  inside(box.netns.get(), [&] { theirs = Rtnetlink::open_socket().value(); });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_NE(found->detail.find("netlink, protocol 0"), std::string::npos) << found->detail;
}

/// What a process leaves when it is gone: nothing here is held by a descriptor any more.
TEST_F(InventoryTest, NamesConnectionsWithoutASocket) {
  expect_stains({
      {"time-wait", Stain::kTimeWait, "127.0.0.1:8080",
       [] {
         auto made = connection(8080);
         made.server.reset();
         EXPECT_TRUE(end_of(made.client));
         return Held{};
       }},
      {"half open: the answer goes nowhere", Stain::kSocket, "syn-sent",
       [] {
         Fd client = socket_of(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
         const auto nobody = at("203.0.113.77", 80);
         EXPECT_EQ(
             ::connect(client.get(), reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody),
             -1);
         return held(std::move(client));
       }},
      {"unsent data", Stain::kSocket, "fin-wait-1",
       [] {
         auto made = connection(8082);
         const std::string much(std::size_t{8} << 20U, 'x');
         while (::send(made.client.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) continue;
         made.client.reset();
         return held(std::move(made.server));
       }},
      {"a descriptor in a message nobody reads", Stain::kSocket, "unix",
       [] {
         // Each end is in the queue of the other: only the kernel's own search frees them.
         int ends[2];
         EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
         const Fd one(ends[0]);
         Fd two(ends[1]);
         const Fd sent = socket_of(AF_INET, SOCK_STREAM);
         char byte = 'x';
         iovec part{&byte, 1};
         alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         message.msg_control = control;
         message.msg_controllen = sizeof control;
         auto* header = CMSG_FIRSTHDR(&message);
         header->cmsg_level = SOL_SOCKET;
         header->cmsg_type = SCM_RIGHTS;
         header->cmsg_len = CMSG_LEN(sizeof(int));
         const int number = sent.get();
         std::memcpy(CMSG_DATA(header), &number, sizeof number);
         EXPECT_EQ(::sendmsg(one.get(), &message, 0), 1);
         return held(std::move(two));
       }},
  });
}

TEST_F(InventoryTest, NamesAConnectionOfWhichThisEndIsClosed) {
  auto box = nat();
  Fd listener;
  inside(world_->outside(), [&] { listener = listening(at("203.0.113.9", 7000)); });
  inside(box.netns.get(), [&] {
    const Fd client = socket_of(AF_INET, SOCK_STREAM);
    connect_to(client, at("203.0.113.9", 7000));
    EXPECT_EQ(::shutdown(client.get(), SHUT_WR), 0);
    EXPECT_TRUE(reaches(client, TCP_FIN_WAIT2));
  });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(to_string(found->stain), to_string(Stain::kTimeWait)) << found->detail;
  EXPECT_NE(found->detail.find("to 203.0.113.9:7000 fin-wait-2"), std::string::npos)
      << found->detail;
}

TEST_F(InventoryTest, NamesAHalfOpenConnectionOfAListener) {
  // A SYN from outside, whose sender never hears the answer.
  auto box = nat();
  Fd listener;
  inside(box.netns.get(), [&] {
    listener = listening(at("127.0.0.1", 8080));
    iphdr header{};
    header.version = 4;
    header.ihl = 5;
    header.ttl = 9;
    header.protocol = IPPROTO_TCP;
    header.saddr = header.daddr = ::inet_addr("127.0.0.1");
    tcphdr tcp{};
    tcp.source = htons(9999);
    tcp.dest = htons(8080);
    tcp.syn = 1;
    tcp.doff = 5;
    tcp.window = htons(1000);
    // The pseudo header's and TCP's own words.
    std::uint32_t sum = 2U * (0x7f00U + 0x0001U) + IPPROTO_TCP + sizeof tcp;
    std::uint16_t words[sizeof tcp / 2];
    std::memcpy(words, &tcp, sizeof tcp);
    for (const auto one : words) sum += ntohs(one);
    sum = (sum & 0xffffU) + (sum >> 16U);
    tcp.check = htons(static_cast<std::uint16_t>(~(sum + (sum >> 16U))));
    char packet[sizeof header + sizeof tcp];
    std::memcpy(packet, &header, sizeof header);
    std::memcpy(packet + sizeof header, &tcp, sizeof tcp);
    // Nobody may have the port, or its answer ends it: drop what would be told.
    load_rules(
        "table ip t { chain c { type filter hook output priority 0; "
        "tcp sport 8080 drop; }; }");
    const Fd raw = socket_of(AF_INET, SOCK_RAW, IPPROTO_RAW);
    const auto to = at("127.0.0.1", 0);
    ASSERT_EQ(::sendto(raw.get(), packet, sizeof packet, 0, reinterpret_cast<const sockaddr*>(&to),
                       sizeof to),
              static_cast<ssize_t>(sizeof packet));
    listener.reset();  // the half open connection keeps it
  });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(to_string(found->stain), to_string(Stain::kSocket)) << found->detail;
}

TEST_F(InventoryTest, NamesChangesOfLinksAndAddresses) {
  const auto none = [](RouteRequest&) {};
  expect_stains({
      {"veth", Stain::kLink, "link v0", [] { return make_link("v0", "veth"), Held{}; }},
      {"bridge", Stain::kLink, "link b0", [] { return make_link("b0", "bridge"), Held{}; }},
      {"lo down", Stain::kLink, "link lo: state=down, was up",
       [=] { return change_link("lo", none, 0, IFF_UP), Held{}; }},
      {"eth0 down", Stain::kLink, "link eth0: state=down",
       [=] { return change_link("eth0", none, 0, IFF_UP), Held{}; }},
      {"promiscuous", Stain::kLink, "link eth0: flags=",
       [=] { return change_link("eth0", none, IFF_PROMISC, IFF_PROMISC), Held{}; }},
      {"mtu", Stain::kLink, "link eth0: mtu=1300, was 1500",
       [] {
         change_link("eth0", [](RouteRequest& it) { it.put(IFLA_MTU, std::uint32_t{1300}); });
         return Held{};
       }},
      {"mac", Stain::kLink, "link eth0: mac=02:00:00:00:00:07, was 02:",
       [] {
         change_link("eth0", [](RouteRequest& it) {
           it.put(IFLA_ADDRESS, MacAddress{2, 0, 0, 0, 0, 7});
         });
         return Held{};
       }},
      {"alias", Stain::kLink, "alias=a\\x20word",
       [] {
         change_link("lo", [](RouteRequest& it) { it.put(IFLA_IFALIAS, "a word"); });
         return Held{};
       }},
      {"queue length", Stain::kLink, "link lo: txqlen=7",
       [] {
         change_link("lo", [](RouteRequest& it) { it.put(IFLA_TXQLEN, std::uint32_t{7}); });
         return Held{};
       }},
      {"group", Stain::kLink, "link eth0: group=9, was 0",
       [] {
         change_link("eth0", [](RouteRequest& it) { it.put(IFLA_GROUP, std::uint32_t{9}); });
         return Held{};
       }},
      {"address", Stain::kAddress, "address 10.0.0.5/32 on lo",
       [] { return change_address(RTM_NEWADDR, "10.0.0.5", 32, 1), Held{}; }},
      {"address6", Stain::kAddress, "address fd00::5/128 on eth0",
       [] { return change_address(RTM_NEWADDR, "fd00::5", 128, kEth0), Held{}; }},
      {"no loopback address", Stain::kAddress, "address 127.0.0.1/8 on lo is missing",
       [] { return change_address(RTM_DELADDR, "127.0.0.1", 8, 1), Held{}; }},
      {"address label", Stain::kAddress, "label of fd00:77::/32",
       [] {
         ifaddrlblmsg header{};
         header.ifal_family = AF_INET6;
         header.ifal_prefixlen = 32;
         RouteRequest request(RTM_NEWADDRLABEL, NLM_F_CREATE | NLM_F_EXCL, header);
         request.put(IFAL_ADDRESS, ip::make_address("fd00:77::"));
         request.put(IFAL_LABEL, std::uint32_t{99});
         ask_here(request);
         return Held{};
       }},
      {"link-layer group", Stain::kMulticast, "link-layer address 33:33:aa:bb:cc:dd on eth0",
       [] { return add_link_layer_address("eth0"), Held{}; }},
      {"membership of a living socket", Stain::kSocket, "udp 0.0.0.0:5000",
       [] {
         Fd member = bound(SOCK_DGRAM, at("0.0.0.0", 5000));
         ip_mreqn group{};
         group.imr_multiaddr.s_addr = ::inet_addr("239.1.2.3");
         group.imr_ifindex = kEth0;
         EXPECT_EQ(::setsockopt(member.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group),
                   0);
         return held(std::move(member));
       }},
      {"qdisc", Stain::kQueue, "root queue of eth0: kind=pfifo, was noqueue",
       [] { return add_qdisc(TC_H_ROOT, 0x70000, "pfifo"), Held{}; }},
      {"ingress qdisc", Stain::kQueue, "ingress queue of eth0",
       [] { return add_qdisc(TC_H_INGRESS, 0xffff0000, "ingress"), Held{}; }},
  });
}

TEST_F(InventoryTest, NamesChangesOfRoutesAndNeighbours) {
  const auto gateway = plan_.gateway();
  expect_stains({
      {"route", Stain::kRoute, "route to 192.0.2.0/24 on eth0 in table 254",
       [] {
         return add_route({"192.0.2.0", 24}), Held{};
       }},
      {"blackhole", Stain::kRoute, "blackhole route to 192.0.2.1/32",
       [] {
         return add_route({"192.0.2.1", 32, RTN_BLACKHOLE}), Held{};
       }},
      {"route of another table", Stain::kRoute, "in table 77",
       [] {
         return add_route({"192.0.2.0", 24, RTN_UNICAST, 77}), Held{};
       }},
      {"route6", Stain::kRoute, "IPv6 route to 2001:db8:7::/48 on eth0",
       [] {
         return add_route({"2001:db8:7::", 48}), Held{};
       }},
      {"unreachable6", Stain::kRoute, "IPv6 unreachable route to 2001:db8:8::/48",
       [] {
         return add_route({"2001:db8:8::", 48, RTN_UNREACHABLE}), Held{};
       }},
      {"no default route", Stain::kRoute, "is missing",
       [&] {
         rtmsg header{};
         header.rtm_family = AF_INET;
         header.rtm_table = RT_TABLE_MAIN;
         header.rtm_scope = RT_SCOPE_NOWHERE;
         ask_here(RouteRequest(RTM_DELROUTE, 0, header));
         return Held{};
       }},
      {"path MTU", Stain::kRoute, "exception to 203.0.113.9/32 via",
       [&] {
         const auto own = plan_.sandbox(static_cast<std::uint16_t>(next_ - 1)).ipv4.to_string();
         return learn_path_mtu(own.c_str(), "203.0.113.9"), Held{};
       }},
      {"rule", Stain::kRule, "rule 77", [] { return add_rule(AF_INET), Held{}; }},
      {"rule6", Stain::kRule, "IPv6 rule 77", [] { return add_rule(AF_INET6), Held{}; }},
      {"nexthop", Stain::kNexthop, "nexthop 42",
       [] {
         nhmsg header{};
         header.nh_family = AF_INET;
         RouteRequest request(RTM_NEWNEXTHOP, NLM_F_CREATE, header);
         request.put(NHA_ID, std::uint32_t{42}).put(NHA_BLACKHOLE, std::span<const std::uint8_t>{});
         ask_here(request);
         return Held{};
       }},
      {"neighbour permanent", Stain::kNeighbour, "neighbour 10.7.7.7 on eth0",
       [] { return set_neighbour("10.7.7.7", NUD_PERMANENT), Held{}; }},
      {"neighbour reachable", Stain::kNeighbour, "neighbour fd00::7 on eth0",
       [] { return set_neighbour("fd00::7", NUD_REACHABLE), Held{}; }},
      {"neighbour stale on loopback", Stain::kNeighbour, "neighbour 0.0.0.0 on lo",
       [] { return set_neighbour("127.7.7.7", NUD_STALE, 0, 1), Held{}; }},
      {"neighbour without ARP", Stain::kNeighbour, "neighbour fd00::8 on lo",
       [] { return set_neighbour("fd00::8", NUD_NOARP, 0, 1, {}), Held{}; }},
      {"gateway elsewhere", Stain::kNeighbour, "mac=02:00:00:00:00:09, was",
       [&] { return set_neighbour(gateway.ipv4.to_string().c_str(), NUD_PERMANENT), Held{}; }},
      {"proxy", Stain::kNeighbour, "proxy for 10.8.8.8 on eth0",
       [] { return set_neighbour("10.8.8.8", NUD_PERMANENT, NTF_PROXY), Held{}; }},
      {"a group of the handler's choice", Stain::kNeighbour, "neighbour 239.1.2.3 on eth0",
       [] {
         const Fd udp = socket_of(AF_INET, SOCK_DGRAM);
         const auto group = at("239.1.2.3", 9);
         EXPECT_EQ(::sendto(udp.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&group),
                            sizeof group),
                   1);
         return Held{};
       }},
  });
}

TEST_F(InventoryTest, NamesEverySetting) {
  std::vector<Dirt> ways;
  struct Setting {
    const char* name;
    const char* value;
    const char* told = nullptr;  // what is named, where it is something that changes with it
  };
  static constexpr Setting kSettings[] = {
      {"core/somaxconn", "77"},
      {"ipv4/ip_forward", "1", "ipv4/conf/all/"},
      {"ipv4/ip_default_ttl", "77"},
      {"ipv4/ip_local_port_range", "2000 3000"},
      {"ipv4/ip_local_reserved_ports", "4000-4010"},
      {"ipv4/tcp_syn_retries", "2"},
      {"ipv4/tcp_congestion_control", "reno"},
      {"ipv4/tcp_fastopen_key", "00000001-00000002-00000003-00000004"},
      {"ipv4/ping_group_range", "0 0"},
      {"ipv4/conf/all/rp_filter", "2"},
      {"ipv4/conf/default/arp_ignore", "3"},
      {"ipv4/conf/lo/log_martians", "1"},
      {"ipv4/conf/eth0/accept_local", "1"},
      {"ipv4/neigh/eth0/gc_stale_time", "77"},
      {"ipv4/neigh/lo/base_reachable_time_ms", "1234", "ipv4/neigh/lo/base_reachable_time="},
      {"ipv4/route/min_adv_mss", "300"},
      {"ipv6/bindv6only", "1"},
      {"ipv6/conf/all/accept_redirects", "0"},
      {"ipv6/conf/default/accept_ra", "2"},
      {"ipv6/conf/eth0/stable_secret", "2001:db8::1", "ipv6/conf/eth0/addr_gen_mode"},
      {"ipv6/conf/lo/hop_limit", "9"},
      {"ipv6/neigh/eth0/retrans_time_ms", "777", "ipv6/neigh/eth0/retrans_time="},
      {"ipv6/icmp/ratelimit", "77"},
      {"ipv6/route/gc_timeout", "77"},
      {"mptcp/enabled", "0"},
      {"netfilter/nf_conntrack_tcp_loose", "0"},
      {"unix/max_dgram_qlen", "77"},
  };
  for (const auto& setting : kSettings) {
    if (::access((std::string("/proc/sys/net/") + setting.name).c_str(), F_OK) != 0 &&
        std::string_view(setting.name).find("eth0") == std::string_view::npos) {
      continue;  // a kernel without it
    }
    ways.push_back({setting.name, Stain::kSetting,
                    setting.told != nullptr ? setting.told : setting.name, [&setting] {
                      set_setting(setting.name, setting.value);
                      return Held{};
                    }});
  }
  ASSERT_GT(ways.size(), 20U);
  expect_stains(ways);
}

TEST_F(InventoryTest, AChangeBehindALongValueIsSeen) {
  auto box = nat();
  std::string ports;
  for (int port = 2000; port < 2400; port += 2) ports += std::to_string(port) + ",";
  inside(box.netns.get(), [&] { set_setting("ipv4/ip_local_reserved_ports", ports.c_str()); });
  box.built = take(box);
  inside(box.netns.get(),
         [&] { set_setting("ipv4/ip_local_reserved_ports", (ports + "9999").c_str()); });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_NE(found->detail.find("9999"), std::string::npos) << found->detail;
}

TEST_F(InventoryTest, NamesWhatTheKernelRemembers) {
  expect_stains({
      {"flow label", Stain::kFlowLabel, "04711", [] { return leave_flow_label(), Held{}; }},
      {"fragment", Stain::kFragment, "1 incomplete", [] { return send_half_a_packet(), Held{}; }},
      {"peer", Stain::kPeer, "TCP remembers 203.0.113.9",
       [] { return fetch(at("203.0.113.9", World::kWeb)), Held{}; }},
      {"nftables", Stain::kFilter, "nftables table spy",
       [] { return load_rules("table inet spy { }"), Held{}; }},
      {"tracked connection", Stain::kConnection, "1 tracked",
       [] {
         load_rules(
             "table ip t { chain c { type filter hook output priority 0; "
             "ct state new accept; }; }");
         const Fd udp = socket_of(AF_INET, SOCK_DGRAM);
         connect_to(udp, at("10.231.0.1", 9));
         EXPECT_EQ(::write(udp.get(), "x", 1), 1);
         return Held{};
       }},
  });
}

TEST_F(InventoryTest, NamesIpsec) {
  if (!offered(AF_NETLINK, SOCK_RAW, NETLINK_XFRM)) GTEST_SKIP() << "the kernel has no IPsec";
  expect_stains(
      {{"policy", Stain::kFilter, "IPsec policy", [] { return add_ipsec_policy(), Held{}; }}});
}

TEST_F(InventoryTest, ForgetsPeersAndConnections) {
  auto box = nat();
  inside(box.netns.get(), [] {
    load_rules(
        "table ip t { chain c { type filter hook output priority 0; "
        "ct state new accept; }; }");
  });
  box.built = take(box);  // the table is not the matter here
  inside(box.netns.get(), [] { fetch(at("203.0.113.9", World::kWeb)); });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(to_string(found->stain), to_string(Stain::kPeer)) << found->detail;
  ASSERT_TRUE(box.inspector->forget_peers());
  expect_clean("a connection that is forgotten", box);
}

TEST_F(InventoryTest, HonestUseOfTheNetworkIsClean) {
  auto box = nat();
  for (const auto* server : {"203.0.113.9", "2001:db8:2::9"}) {
    EXPECT_NE(ask(box.netns.get(), server, World::kDns, Transport::kUdp), "denied");
    expect_clean("a question by UDP", box);
  }
  inside(box.netns.get(), [] {
    fetch(at("203.0.113.9", World::kWeb));
    fetch(at6("2001:db8:2::9", World::kWeb));
  });
  ASSERT_TRUE(box.inspector->forget_peers());
  expect_clean("a question by TCP", box);
  EXPECT_EQ(ask(box.netns.get(), "10.231.0.1", World::kWeb), "denied");
  ASSERT_TRUE(box.inspector->forget_peers());
  expect_clean("a refused connection", box);
}

TEST_F(InventoryTest, HonestUseOfLoopbackIsClean) {
  for (const bool with_network : {false, true}) {
    auto box = with_network ? nat() : open(make_namespace());
    inside(box.netns.get(), [] {
      const Fd server = bound(SOCK_DGRAM, at("127.0.0.1", 5353));
      const Fd server6 = bound(SOCK_DGRAM, at6("::1", 5353));
      const Fd client = bound(SOCK_DGRAM, at("127.0.0.2", 0));
      const Fd client6 = socket_of(AF_INET6, SOCK_DGRAM);
      connect_to(client, at("127.0.0.1", 5353));
      connect_to(client6, at6("::1", 5353));
      const std::string large(40'000, 'x');  // in fragments
      char byte = 0;
      EXPECT_EQ(::write(client.get(), large.data(), large.size()), 40'000);
      EXPECT_EQ(::write(client6.get(), "x", 1), 1);
      EXPECT_EQ(::read(server.get(), &byte, 1), 1);
      EXPECT_EQ(::read(server6.get(), &byte, 1), 1);
    });
    expect_clean("UDP on loopback", box);
    inside(box.netns.get(), [] {
      auto made = connection(8080);
      EXPECT_EQ(::write(made.client.get(), "x", 1), 1);
      char byte = 0;
      EXPECT_EQ(::read(made.server.get(), &byte, 1), 1);
      reset_on_close(made.client);
    });
    ASSERT_TRUE(box.inspector->forget_peers());
    expect_clean("TCP on loopback, ended by a reset", box);
    inside(box.netns.get(), [] {
      const Fd named = unix_bound(SOCK_STREAM, std::string("\0abstract", 9));
      const Fd refused = socket_of(AF_INET, SOCK_STREAM);
      const auto nobody = at("127.0.0.1", 1);
      EXPECT_EQ(::connect(refused.get(), reinterpret_cast<const sockaddr*>(&nobody), sizeof nobody),
                -1);
    });
    expect_clean("an abstract name, a refused connection", box);
  }
}

TEST_F(InventoryTest, JoiningAGroupIsCleanAfterwards) {
  auto box = nat();
  inside(box.netns.get(), [] {
    const Fd member = bound(SOCK_DGRAM, at("0.0.0.0", 5000));
    ip_mreqn group{};
    group.imr_multiaddr.s_addr = ::inet_addr("239.1.2.3");
    group.imr_ifindex = kEth0;
    EXPECT_EQ(::setsockopt(member.get(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group), 0);
    const Fd member6 = bound(SOCK_DGRAM, at6("::", 5001));
    ipv6_mreq group6{};
    ::inet_pton(AF_INET6, "ff05::77", &group6.ipv6mr_multiaddr);
    group6.ipv6mr_interface = kEth0;
    EXPECT_EQ(::setsockopt(member6.get(), IPPROTO_IPV6, IPV6_JOIN_GROUP, &group6, sizeof group6),
              0);
  });
  expect_clean("a group joined and left", box);
}

TEST_F(InventoryTest, StaysTheSameByItself) {
  auto plain = open(make_namespace());
  auto linked = nat();
  const auto end = Clock::now() + Millis{3000};  // reports of groups, searches for duplicates
  while (Clock::now() < end) {
    expect_clean("time", plain);
    expect_clean("time", linked);
    if (HasFailure()) return;
    std::this_thread::sleep_for(Millis{50});
  }
}

TEST_F(InventoryTest, TheThreadComesBack) {
  const auto home = own_network_namespace().value();
  auto box = nat();
  EXPECT_EQ(own_network_namespace().value(), home);
  const auto descriptors = testing::open_descriptors();
  ASSERT_TRUE(box.inspector->take());
  EXPECT_EQ(own_network_namespace().value(), home);
  EXPECT_EQ(testing::open_descriptors(), descriptors);
  EXPECT_FALSE(Inspector::open(-1));
  EXPECT_EQ(own_network_namespace().value(), home);
}

/// A process in a network namespace of its own, which the user namespace of `owner` owns.
Process process_of(const Process& owner) {
  int ready[2];
  EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const Fd from_child(ready[0]);
  Fd to_parent(ready[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const bool done = ::setns(owner.pidfd(), CLONE_NEWUSER) == 0 && ::unshare(CLONE_NEWNET) == 0;
    if (!done || ::write(to_parent.get(), "x", 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  Process made(Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))), pid);
  to_parent.reset();
  char byte = 0;
  EXPECT_EQ(::read(from_child.get(), &byte, 1), 1) << "the child could not enter";
  return made;
}

TEST_F(InventoryTest, SeesIntoANamespaceOfAnotherUserNamespace) {
  const auto owner = testing::hold_user_namespace();
  ASSERT_TRUE(owner) << owner.error().describe();
  const auto inhabitant = process_of(*owner);
  Fd netns(::open(("/proc/" + std::to_string(inhabitant.pid()) + "/ns/net").c_str(),
                  O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(netns);
  auto box = open(std::move(netns));
  // Secrets are for the owner's root alone.
  EXPECT_NE(box.built.settings.find("ipv4/tcp_fastopen_key='"), std::string::npos);
  EXPECT_TRUE(box.inspector->forget_peers());
  expect_clean("nothing", box);
  inside(box.netns.get(), [] { set_setting("ipv4/ip_default_ttl", "77"); });
  const auto found = look(box);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->detail, "ipv4/ip_default_ttl='77', was '64'");
}

std::int64_t processor_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000 + now.tv_nsec / 1000;
}

std::int64_t median(std::vector<std::int64_t> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

TEST_F(InventoryTest, CostsLittle) {
  for (const bool with_network : {false, true}) {
    auto box = with_network ? nat() : open(make_namespace());
    std::vector<std::int64_t> times;
    std::vector<std::int64_t> processor_times;
    for (int i = 0; i < 200; ++i) {
      const auto begin = Clock::now();
      const auto before = processor_time();
      ASSERT_TRUE(box.inspector->take());
      processor_times.push_back(processor_time() - before);
      times.push_back(micros_between(begin, Clock::now()));
    }
    const std::string name = with_network ? "nat" : "loopback";
    RecordProperty(name + "_us", std::to_string(median(times)));
    RecordProperty(name + "_processor_us", std::to_string(median(processor_times)));
    EXPECT_LT(median(processor_times), 10'000);
  }
}

}  // namespace
}  // namespace sock::netns
