#pragma once

#include <array>

namespace sock::netns {

/// A network with a meaning of its own.
struct Reserved {
  const char* network;  ///< "10.0.0.0/8", or an address
  const char* meaning;  ///< for a message: "loopback"
};

/// Never reachable: what only means something on one host or one link, multicast and reserved, and
/// the metadata services of clouds, which hand out credentials to whoever asks from inside.
inline constexpr std::array kNever4 = {
    Reserved{"0.0.0.0/8", "\"this network\""},
    Reserved{"127.0.0.0/8", "loopback"},
    Reserved{"169.254.0.0/16", "link-local, and metadata services of clouds"},
    Reserved{"192.0.0.0/24", "protocol assignments"},
    Reserved{"224.0.0.0/3", "multicast and reserved"},
    Reserved{"100.100.100.200", "the metadata service of a cloud"},
    Reserved{"168.63.129.16", "the metadata service of a cloud"},
};
inline constexpr std::array kNever6 = {
    Reserved{"::/16", "loopback, and IPv4 addresses in another form"},
    Reserved{"fe80::/10", "link-local"},
    Reserved{"fec0::/10", "site-local"},
    Reserved{"ff00::/8", "multicast"},
    Reserved{"fd00:ec2::/32", "the metadata service of a cloud"},
    Reserved{"fd20:ce::254", "the metadata service of a cloud"},
};

/// Reachable where allowed by name: private, shared (RFC 6598), benchmarking, and the prefixes
/// that translate to IPv4, behind which private addresses may be.
inline constexpr std::array kPrivate4 = {
    Reserved{"10.0.0.0/8", "private"},         Reserved{"172.16.0.0/12", "private"},
    Reserved{"192.168.0.0/16", "private"},     Reserved{"100.64.0.0/10", "shared"},
    Reserved{"198.18.0.0/15", "benchmarking"},
};
inline constexpr std::array kPrivate6 = {
    Reserved{"fc00::/7", "private"},
    Reserved{"64:ff9b::/32", "translated to IPv4"},
    Reserved{"2002::/16", "translated to IPv4"},
    Reserved{"2001::/32", "translated to IPv4"},
};

}  // namespace sock::netns
