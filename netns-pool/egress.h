#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "netns-pool/prefix.h"

namespace sock::netns {

enum class Protocol { kAny, kTcp, kUdp };

struct PortRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;  ///< at least `first`
};

/// What a sandbox may reach.
struct Destination {
  Prefix network;
  Protocol protocol = Protocol::kAny;
  std::vector<PortRange> ports;  ///< none: all; only with kTcp and kUdp
};

/// Where a sandbox's packets may go. Whatever it says, never to the host, to other sandboxes, or to
/// the addresses in reserved_addresses.h that are nobody's business: link-local, metadata services,
/// multicast.
struct Egress {
  /// Most rules, a port range of a destination being one.
  static constexpr std::size_t kMostRules = 64;

  bool internet = true;              ///< every public address
  std::vector<Destination> allowed;  ///< and these, which may be private
};

}  // namespace sock::netns
