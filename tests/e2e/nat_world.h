#pragma once

#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "tests/netns-pool/world.h"
#include "tests/support/dns_server.h"

namespace sock::e2e {

using netns::testing::World;

/// Where handlers say that they have come so far, and wait for an answer: a server in the outside
/// of a World, at 203.0.113.9.
class Gate {
 public:
  static constexpr std::uint16_t kPort = 9000;

  /// One that waits; let go of, with an empty answer, when this is destroyed.
  struct Visitor {
    Fd connection;
    std::string words;

    void answer(const std::string& words_back);
  };

  explicit Gate(const World& world);

  /// The next to come, within ten seconds.
  [[nodiscard]] std::optional<Visitor> next();

 private:
  Fd listener_;
};

/// Answers every HTTP request with "served" at port kPort of the outside, whatever the address.
class HttpServer {
 public:
  static constexpr std::uint16_t kPort = 8000;

  explicit HttpServer(const World& world);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  void serve();

  Fd listener_;
  Fd end_;
  std::thread thread_;
};

/// The world of a sockd with functions on the network class "nat": the thread that makes it, and
/// every sockd it starts, are on the host in it.
///
/// Servers answer at World::kWeb, World::kOther and kHigh of every address; at 203.0.113.9 there
/// are a resolver (dns_server.h), the gate and the HTTP server, too.
class NatWorld {
 public:
  static constexpr std::uint16_t kHigh = 62'805;

  NatWorld();

  /// The lines of sockd.toml that go with it: the section [nat].
  [[nodiscard]] static std::string settings(const std::string& ipv4 = "10.88.0.0/24",
                                            const std::string& ipv6 = "fd88::/64");

  [[nodiscard]] Gate& gate() { return gate_; }
  [[nodiscard]] const World& world() const { return world_; }

  /// Links, addresses, routes and rules of the host.
  [[nodiscard]] std::string state() const;

 private:
  World world_;
  Gate gate_;
  HttpServer http_;
  std::unique_ptr<test_support::DnsServer> dns_;
};

/// The source of handlers/network.py.
[[nodiscard]] std::string network_handler();

/// Its answer to `expression`, evaluated where the calling thread is, outside of any sandbox; null
/// when it failed.
[[nodiscard]] boost::json::value evaluate_on_host(const std::string& expression);

}  // namespace sock::e2e
