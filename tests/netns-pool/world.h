#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/rtnetlink.h"

namespace sock::netns::testing {

/// A new network namespace with loopback up.
[[nodiscard]] Fd make_namespace();

/// Runs `body` on a thread inside the namespace.
void inside(int netns, const std::function<void()>& body);

/// An rtnetlink socket of the namespace.
[[nodiscard]] Rtnetlink route_of(int netns);

enum class Transport { kTcp, kUdp };

/// What a client in the namespace gets from a server: the text of the address that the server saw
/// it come from; "denied" when it was refused or nothing came within half a second.
/// `from_port` is the client's own; 0: any.
[[nodiscard]] std::string ask(int netns, const std::string& address, std::uint16_t port,
                              Transport transport = Transport::kTcp, std::uint16_t from_port = 0);

/// Listens to all frames on all links of a namespace.
class Sniffer {
 public:
  explicit Sniffer(int netns);
  /// Whether a frame with `marker` in it has come by, or comes within this time.
  [[nodiscard]] bool saw(std::string_view marker, Millis wait = Millis{200});

 private:
  Fd socket_;
};

/// Sends a frame from the namespace's eth0, by root's power over it: addresses as given, whoever
/// has them.
void send_frame(int netns, const MacAddress& to, const MacAddress& from, std::uint16_t ether_type,
                std::string_view payload);

/// Sends a UDP datagram from an address and port that another socket of the namespace the caller is
/// in may have, too.
void send_datagram(const std::string& from, std::uint16_t from_port, const std::string& to,
                   std::uint16_t to_port, std::string_view payload);

/// The bytes of an IPv4 packet with a UDP datagram to port 53.
[[nodiscard]] std::string udp_packet(const std::string& from, const std::string& to,
                                     std::string_view payload);

/// Answers every TCP connection and every UDP datagram, of both families, with the address that it
/// came from, in the namespace it was made for.
class Servers {
 public:
  Servers(int netns, std::vector<std::uint16_t> ports);
  ~Servers();
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;

 private:
  struct Running;
  std::unique_ptr<Running> running_;
};

/// Two namespaces: one that the test is in while this lives and that plays the host, forwarding;
/// and the rest of the world behind it, with servers at addresses of every kind. All traffic stays
/// in them.
///
///   host 198.51.100.1, 2001:db8:1::1 ── world 198.51.100.2, 2001:db8:1::2
///
/// The world has also, routed to it by the host: 203.0.113.9, 10.9.0.1, 192.168.7.1, 100.64.3.3,
/// 169.254.169.254, 100.100.100.200, 2001:db8:2::9, fd99::1, fd00:ec2::254.
class World {
 public:
  static constexpr std::uint16_t kWeb = 80;
  static constexpr std::uint16_t kOther = 8080;
  static constexpr std::uint16_t kDns = 53;

  /// Of these ports, all servers are: at every address, and of the host, too.
  explicit World(const std::vector<std::uint16_t>& ports = {kWeb, kOther, kDns});
  ~World();

  [[nodiscard]] int host() const { return host_.get(); }
  [[nodiscard]] int outside() const { return outside_.get(); }

  /// What was configured in the host: links, addresses, routes, permanent neighbours.
  [[nodiscard]] std::string state_of_host() const;

 private:
  Fd home_;
  Fd host_;
  Fd outside_;
  std::unique_ptr<Servers> servers_;
  std::unique_ptr<Servers> host_servers_;
};

/// All nftables rules of the caller's namespace.
[[nodiscard]] std::string ruleset();

/// How many connections the kernel remembers in the caller's namespace.
[[nodiscard]] int remembered_connections();

/// The prefixes that tests give their sandboxes.
[[nodiscard]] AddressPlan address_plan();

}  // namespace sock::netns::testing
