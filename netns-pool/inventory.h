#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sock::netns {

/// What a process in a network namespace can leave behind, or change.
enum class Stain {
  kSocket,     ///< any at all, by whomever it is held, on its way in a message included
  kTimeWait,   ///< a TCP connection that the kernel remembers after both ends have closed it
  kFlowLabel,  ///< IPv6 flow labels stay for a while after their socket
  kFragment,   ///< of a packet of which the rest did not come
  kLink,       ///< with its flags, addresses, sizes, offloads
  kAddress,    ///< addresses, and the labels by which IPv6 chooses among them
  kMulticast,  ///< the addresses that a link listens to
  kRoute,    ///< of every table, and what was learnt for single destinations (path MTU, redirects)
  kRule,     ///< which table is asked
  kNexthop,  ///< named gateways
  kNeighbour,   ///< and proxies for neighbours
  kQueue,       ///< queueing disciplines
  kPeer,        ///< TCP's memory of those it has talked to (round-trip time, Fast Open cookies)
  kConnection,  ///< tracked by the packet filter
  kFilter,      ///< tables of packet filters, IPsec
  kSetting,     ///< a file in /proc/sys/net
};

/// "socket", "time_wait", …: stable, machine readable.
[[nodiscard]] std::string_view to_string(Stain stain);

/// One thing in a network namespace.
struct Item {
  Stain stain;
  std::string what;   ///< its identity, for a person: "address 10.0.0.5/32 on lo"
  std::string state;  ///< the rest, as "name=value" separated by spaces

  auto operator<=>(const Item&) const = default;
};

/// What is in a network namespace, as far as a process in it could have changed it and can be
/// listed. Counters, ages and what the kernel changes by itself are left out. About 40 kB.
struct Inventory {
  std::vector<Item> items;  ///< sorted
  std::string settings;     ///< lines "path=value" in the kernel's order
};

struct Difference {
  Stain stain;
  std::string detail;  ///< for a person: "tcp 127.0.0.1:80 listening", "link lo: mtu=9, was 65536"
};

/// The first thing, in the order of Stain, by which a namespace differs from how it was built;
/// nullopt: nothing. Sockets, connections after their socket, flow labels and fragments are a stain
/// even when `built` had them.
[[nodiscard]] std::optional<Difference> difference(const Inventory& built, const Inventory& now);

}  // namespace sock::netns
