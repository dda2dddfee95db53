#include "tests/netns-pool/world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/veth.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <netlink/route/addr.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "netns-pool/link_requests.h"
#include "netns-pool/nftables.h"

namespace sock::netns::testing {

namespace ip = boost::asio::ip;

namespace {

constexpr Millis kAnswerPatience{500};

Fd current_namespace() { return Fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress socket_address(const ip::address& address, std::uint16_t port) {
  SocketAddress out;
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(address.to_v4().to_uint());
    out.size = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&v6.sin6_addr, address.to_v6().to_bytes().data(), 16);
    out.size = sizeof v6;
  }
  return out;
}

/// IPv4 clients of a socket of both families look like ::ffff:1.2.3.4.
std::string text_of(const SocketAddress& address) {
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address.storage);
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  const std::string_view mapped = "::ffff:";
  return std::string_view(text).starts_with(mapped) ? text + mapped.size() : text;
}

bool readable(int fd, Millis patience) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, static_cast<int>(patience.count())) == 1;
}

Fd server_socket(int type, std::uint16_t port) {
  Fd socket(::socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int off = 0;
  auto any = socket_address(ip::address_v6::any(), port);
  const int on = 1;
  EXPECT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  EXPECT_EQ(::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
  EXPECT_EQ(::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on), 0);
  EXPECT_EQ(::bind(socket.get(), any.get(), any.size), 0) << std::strerror(errno);
  EXPECT_EQ(type == SOCK_STREAM ? ::listen(socket.get(), 64) : 0, 0);
  return socket;
}

void answer_stream(int listener) {
  SocketAddress peer;
  const Fd connection(::accept4(listener, peer.get(), &peer.size, SOCK_CLOEXEC));
  if (!connection) return;
  const auto text = text_of(peer);
  (void)!::write(connection.get(), text.data(), text.size());
}

/// From the address that was asked, which the control message names in both directions.
void answer_datagram(int socket) {
  SocketAddress peer;
  std::array<char, 512> data{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  iovec part{data.data(), data.size()};
  msghdr message{};
  message.msg_name = &peer.storage;
  message.msg_namelen = peer.size;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, 0) < 0) return;
  const auto text = text_of(peer);
  part.iov_len = text.copy(data.data(), data.size());
  (void)!::sendmsg(socket, &message, 0);
}

void must(const Result<>& done) { ASSERT_TRUE(done) << done.error().describe(); }

void add_route(Rtnetlink& route, const ip::address& gateway) {
  rtmsg header{};
  header.rtm_family = gateway.is_v4() ? AF_INET : AF_INET6;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  RouteRequest request(RTM_NEWROUTE, NLM_F_CREATE, header);
  request.put(RTA_GATEWAY, gateway);
  must(route.ask(request, "add route", gateway.to_string()));
}

void add_addresses(Rtnetlink& route, const std::string& link,
                   const std::vector<std::pair<const char*, unsigned>>& addresses) {
  must(forbid_own_address(route, link));
  must(bring_up(route, link));
  const auto found = route.link(link);
  ASSERT_TRUE(found) << found.error().describe();
  for (const auto& [address, length] : addresses) {
    must(add_address(route, found->index, ip::make_address(address), length));
  }
}

void connect(Rtnetlink& host, int world) {
  RouteRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.put(IFLA_IFNAME, "wan0").nest(IFLA_LINKINFO, [&](RouteRequest& info) {
    info.put(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, [&](RouteRequest& data) {
      data.nest(VETH_INFO_PEER, [&](RouteRequest& peer) {
        peer.header(ifinfomsg{}).put(IFLA_IFNAME, "wan0");
        peer.put(IFLA_NET_NS_FD, static_cast<std::uint32_t>(world));
      });
    });
  });
  must(host.ask(request, "make veth pair", "wan0"));
}

void set_sysctl(const char* name, const char* value) {
  must(write_control(AT_FDCWD, std::string("/proc/sys/net/") + name, value));
}

template <auto Allocate, class Object, class... Rest>
std::string listing(nl_sock* socket, const std::function<bool(Object*)>& shown, Rest... rest) {
  nl_cache* filled = nullptr;
  EXPECT_EQ(Allocate(socket, rest..., &filled), 0);
  const NetlinkCache cache(filled);
  std::string text;
  for (nl_object* object = nl_cache_get_first(filled); object != nullptr;
       object = nl_cache_get_next(object)) {
    if (!shown(reinterpret_cast<Object*>(object))) continue;
    std::array<char, 512> line{};
    nl_object_dump_buf(object, line.data(), line.size());
    text += line.data();
  }
  return text;
}

}  // namespace

Fd make_namespace() {
  Fd made;
  std::thread([&] {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    made = current_namespace();
    auto route = Rtnetlink::open();
    ASSERT_TRUE(route) << route.error().describe();
    must(bring_up(*route, "lo"));
  }).join();
  return made;
}

void inside(int netns, const std::function<void()>& body) {
  std::thread([&] {
    ASSERT_EQ(::setns(netns, CLONE_NEWNET), 0) << std::strerror(errno);
    body();
  }).join();
}

Rtnetlink route_of(int netns) {
  std::unique_ptr<Rtnetlink> out;
  inside(netns, [&] {
    auto route = Rtnetlink::open();
    ASSERT_TRUE(route) << route.error().describe();
    out = std::make_unique<Rtnetlink>(std::move(*route));
  });
  return std::move(*out);
}

std::string ask(int netns, const std::string& address, std::uint16_t port, Transport transport,
                std::uint16_t from_port) {
  std::string answer = "denied";
  inside(netns, [&] {
    const auto where = ip::make_address(address);
    auto to = socket_address(where, port);
    const int type = transport == Transport::kTcp ? SOCK_STREAM : SOCK_DGRAM;
    const Fd socket(
        ::socket(where.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (from_port != 0) {
      auto from = socket_address(
          where.is_v4() ? ip::address(ip::address_v4::any()) : ip::address(ip::address_v6::any()),
          from_port);
      ASSERT_EQ(::bind(socket.get(), from.get(), from.size), 0) << std::strerror(errno);
    }
    if (::connect(socket.get(), to.get(), to.size) < 0 && errno != EINPROGRESS) return;
    if (transport == Transport::kUdp) (void)!::write(socket.get(), "?", 1);
    char text[INET6_ADDRSTRLEN] = "";
    if (!readable(socket.get(), kAnswerPatience)) return;
    const ssize_t size = ::read(socket.get(), text, sizeof text);
    if (size > 0) answer.assign(text, static_cast<std::size_t>(size));
  });
  return answer;
}

Sniffer::Sniffer(int netns) {
  inside(netns, [&] {
    socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)));
    ASSERT_TRUE(socket_) << std::strerror(errno);
  });
}

bool Sniffer::saw(std::string_view marker, Millis wait) {
  const auto deadline = Clock::now() + wait;
  std::array<char, 4096> frame{};
  for (;;) {
    const auto left = std::chrono::duration_cast<Millis>(deadline - Clock::now());
    if (!readable(socket_.get(), std::max(left, Millis{0}))) return false;
    const ssize_t size = ::read(socket_.get(), frame.data(), frame.size());
    if (size <= 0) continue;
    const std::string_view seen(frame.data(), static_cast<std::size_t>(size));
    if (seen.find(marker) != std::string_view::npos) return true;
  }
}

void send_frame(int netns, const MacAddress& to, const MacAddress& from, std::uint16_t ether_type,
                std::string_view payload) {
  inside(netns, [&] {
    const Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    std::string frame(to.begin(), to.end());
    frame.append(from.begin(), from.end());
    frame += static_cast<char>(ether_type >> 8U);
    frame += static_cast<char>(ether_type & 0xffU);
    frame += payload;
    sockaddr_ll link{};
    link.sll_family = AF_PACKET;
    link.sll_ifindex = static_cast<int>(::if_nametoindex("eth0"));
    link.sll_halen = 6;
    ASSERT_EQ(::sendto(socket.get(), frame.data(), frame.size(), 0,
                       reinterpret_cast<sockaddr*>(&link), sizeof link),
              static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  });
}

void send_datagram(const std::string& from, std::uint16_t from_port, const std::string& to,
                   std::uint16_t to_port, std::string_view payload) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  auto source = socket_address(ip::make_address(from), from_port);
  auto target = socket_address(ip::make_address(to), to_port);
  ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
  ASSERT_EQ(::bind(socket.get(), source.get(), source.size), 0) << std::strerror(errno);
  ASSERT_EQ(::sendto(socket.get(), payload.data(), payload.size(), 0, target.get(), target.size),
            static_cast<ssize_t>(payload.size()));
}

std::string udp_packet(const std::string& from, const std::string& to, std::string_view payload) {
  iphdr header{};
  header.version = 4;
  header.ihl = 5;
  header.ttl = 64;
  header.protocol = IPPROTO_UDP;
  header.tot_len =
      htons(static_cast<std::uint16_t>(sizeof(iphdr) + sizeof(udphdr) + payload.size()));
  header.saddr = htonl(ip::make_address_v4(from).to_uint());
  header.daddr = htonl(ip::make_address_v4(to).to_uint());
  std::array<std::uint16_t, sizeof header / 2> words{};
  std::memcpy(words.data(), &header, sizeof header);
  std::uint32_t sum = 0;
  for (const auto word : words) sum += word;
  sum = (sum & 0xffffU) + (sum >> 16U);
  header.check = static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
  udphdr udp{};  // without a checksum, as IPv4 allows
  udp.source = htons(40'000);
  udp.dest = htons(World::kDns);
  udp.len = htons(static_cast<std::uint16_t>(sizeof udp + payload.size()));
  std::string packet(reinterpret_cast<const char*>(&header), sizeof header);
  packet.append(reinterpret_cast<const char*>(&udp), sizeof udp);
  packet += payload;
  return packet;
}

struct Servers::Running {
  std::vector<Fd> listeners;
  std::vector<Fd> receivers;
  Fd stop;
  std::thread thread;

  void serve() {
    std::vector<pollfd> polls;
    for (const auto& fd : listeners) polls.push_back({fd.get(), POLLIN, 0});
    for (const auto& fd : receivers) polls.push_back({fd.get(), POLLIN, 0});
    polls.push_back({stop.get(), POLLIN, 0});
    while (::poll(polls.data(), polls.size(), -1) > 0 && polls.back().revents == 0) {
      for (std::size_t i = 0; i + 1 < polls.size(); ++i) {
        if (polls[i].revents == 0) continue;
        if (i < listeners.size()) {
          answer_stream(polls[i].fd);
        } else {
          answer_datagram(polls[i].fd);
        }
      }
    }
  }
};

Servers::Servers(int netns, std::vector<std::uint16_t> ports)
    : running_(std::make_unique<Running>()) {
  inside(netns, [&] {
    for (const auto port : ports) {
      running_->listeners.push_back(server_socket(SOCK_STREAM, port));
      running_->receivers.push_back(server_socket(SOCK_DGRAM, port));
    }
  });
  running_->stop = Fd(::eventfd(0, EFD_CLOEXEC));
  running_->thread = std::thread([running = running_.get()] { running->serve(); });
}

Servers::~Servers() {
  const std::uint64_t one = 1;
  EXPECT_EQ(::write(running_->stop.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  running_->thread.join();
}

World::World(const std::vector<std::uint16_t>& ports)
    : home_(current_namespace()), host_(make_namespace()), outside_(make_namespace()) {
  EXPECT_EQ(::setns(host_.get(), CLONE_NEWNET), 0);
  auto host = route_of(host_.get());
  auto world = route_of(outside_.get());
  connect(host, outside_.get());
  add_addresses(host, "wan0", {{"198.51.100.1", 24}, {"2001:db8:1::1", 64}});
  add_addresses(world, "wan0",
                {{"198.51.100.2", 24},
                 {"203.0.113.9", 32},
                 {"10.9.0.1", 32},
                 {"192.168.7.1", 32},
                 {"100.64.3.3", 32},
                 {"169.254.169.254", 32},
                 {"100.100.100.200", 32},
                 {"2001:db8:1::2", 64},
                 {"2001:db8:2::9", 128},
                 {"fd99::1", 128},
                 {"fd00:ec2::254", 128}});
  must(await_running(host, "wan0"));
  must(await_running(world, "wan0"));
  add_route(host, ip::make_address("198.51.100.2"));
  add_route(host, ip::make_address("2001:db8:1::2"));
  set_sysctl("ipv4/ip_forward", "1");
  set_sysctl("ipv6/conf/all/forwarding", "1");
  servers_ = std::make_unique<Servers>(outside_.get(), ports);
  host_servers_ = std::make_unique<Servers>(host_.get(), ports);
}

World::~World() { EXPECT_EQ(::setns(home_.get(), CLONE_NEWNET), 0); }

std::string World::state_of_host() const {
  std::string text;
  const auto links = route_of(host_.get()).links();
  EXPECT_TRUE(links);
  // Not by nl_cache_dump(): it crashes on a veth whose peer is in another namespace (libnl 3.7).
  for (const auto& link : *links) {
    text += link.name + " " + std::to_string(link.index) + " " + link.kind + "\n";
  }
  inside(host_.get(), [&] {
    const NetlinkSocket socket(nl_socket_alloc());
    ASSERT_EQ(nl_connect(socket.get(), NETLINK_ROUTE), 0);
    text += listing<rtnl_addr_alloc_cache, rtnl_addr>(socket.get(), [](auto*) { return true; });
    // The kernel fills its local table, and notices that a link has a carrier, in its own time.
    const auto configured = [](rtnl_route* route) {
      rtnl_route_unset_flags(route, ~0U);
      return rtnl_route_get_table(route) == RT_TABLE_MAIN;
    };
    text += listing<rtnl_route_alloc_cache, rtnl_route>(socket.get(), configured, AF_UNSPEC, 0);
    // The others come and go with traffic.
    text += listing<rtnl_neigh_alloc_cache, rtnl_neigh>(
        socket.get(), [](auto* it) { return rtnl_neigh_get_state(it) == NUD_PERMANENT; });
  });
  return text;
}

std::string ruleset() {
  auto nftables = Nftables::open();
  if (!nftables) return nftables.error().describe();
  auto listed = nftables->list("list ruleset");
  return listed ? *listed : listed.error().describe();
}

int remembered_connections() {
  const auto text = read_file(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_count", 16);
  EXPECT_TRUE(text);
  return text ? std::stoi(*text) : -1;
}

AddressPlan address_plan() {
  return AddressPlan::create(boost::asio::ip::make_network_v4("10.231.0.0/16"),
                             boost::asio::ip::make_network_v6("fd53:1::/64"))
      .value();
}

}  // namespace sock::netns::testing
