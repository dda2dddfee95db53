#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sock::test_support {

/// The addresses of a name.
struct DnsRecords {
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
  bool tcp_only = false;  ///< over UDP the answer is "truncated", and empty
};

/// By name, in small letters and without the dot at the end. Every other name does not exist.
using DnsZone = std::map<std::string, DnsRecords>;

/// server.test, which is 203.0.113.9 and 2001:db8:2::9; four.test, which has the first alone; and
/// big.test, 60 addresses from 10.0.0.1 on, over TCP only.
[[nodiscard]] DnsZone example_zone();

/// One question as it came.
struct DnsQuery {
  std::string name;
  std::uint16_t type = 0;  ///< 1: A, 28: AAAA
  bool tcp = false;
  bool edns = false;
};

/// A resolver for tests: answers for its zone over UDP and TCP, on a thread of its own, until it is
/// destroyed. Its sockets are in the network namespace that the caller of start() is in then.
class DnsServer {
 public:
  /// `address` of either family must be one of the namespace's.
  [[nodiscard]] static Result<std::unique_ptr<DnsServer>> start(const std::string& address,
                                                                DnsZone zone = example_zone(),
                                                                std::uint16_t port = 53);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  /// What it has been asked so far. Ends the serving.
  [[nodiscard]] std::vector<DnsQuery> stop();

 private:
  DnsServer(DnsZone zone, Fd udp, Fd tcp, Fd end);
  void serve();
  void serve_datagram();
  void serve_connection();
  [[nodiscard]] std::string answer_to(const std::string& request, bool tcp);

  DnsZone zone_;
  Fd udp_;
  Fd tcp_;
  Fd end_;  ///< an eventfd: serving is over
  std::vector<DnsQuery> queries_;
  std::thread thread_;
};

}  // namespace sock::test_support
