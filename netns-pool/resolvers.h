#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "netns-pool/address_plan.h"

namespace sock::netns {

/// Whom sandboxes with a network ask for the addresses of names.
struct Resolvers {
  /// glibc uses no more (MAXNS in resolv.conf(5)).
  static constexpr std::size_t kMost = 3;

  std::vector<boost::asio::ip::address> servers;  ///< in the order they are asked
  std::vector<std::string> search;                ///< domains tried behind a short name
  std::vector<std::string> options;               ///< as in resolv.conf(5)
};

/// What sandboxes have an address of. IPv4 they always have.
enum class Families { kIpv4, kBoth };

/// Why no sandbox can ever reach a server, whatever it is allowed, as "loopback"; empty
/// when one may: then it is left to the sandbox's Egress, which a private address needs. Knows
/// addresses only, not whether the host has this one.
[[nodiscard]] std::string why_unreachable(const boost::asio::ip::address& server,
                                          Families families);

/// Whether sandboxes with addresses of this plan can reach a server; kInvalid, with the reason,
/// when nothing can allow it: why_unreachable(), or it is one of them, or the host itself, in whose
/// network namespace this must run. For people to know at once: what the host becomes later, the
/// firewall refuses anyway.
[[nodiscard]] Result<> check_resolver(const boost::asio::ip::address& server,
                                      const AddressPlan& plan);

/// The servers of the configuration, with no search list. kInvalid when they are none or too many,
/// or one can never be reached, the host itself included.
[[nodiscard]] Result<Resolvers> configured_resolvers(std::vector<boost::asio::ip::address> servers,
                                                     Families families);

/// Where the host's resolvers are written.
struct ResolverFiles {
  std::filesystem::path resolv_conf = "/etc/resolv.conf";
  /// Whom systemd-resolved asks, for hosts that ask it.
  std::filesystem::path behind_stub = "/run/systemd/resolve/resolv.conf";
};

struct HostResolvers {
  Resolvers resolvers;
  /// What was left out, and why; for the log.
  std::vector<std::string> problems;
};

/// The host's own resolvers, as glibc would read them, except those that why_unreachable() names
/// and those that are the host itself: a sandbox reaches neither. When that leaves none, as on a
/// host with a resolver of its own on the loopback, the other file is read. The search list and
/// what options mean for the questions (not for waiting) come with them.
///
/// Files are read once, the first 64 KiB of them; nothing in them is trusted. Blocks as long as
/// reading a small file does. kInvalid, with what to do, when no resolver is left. Must run in the
/// host's network namespace.
[[nodiscard]] Result<HostResolvers> host_resolvers(Families families,
                                                   const ResolverFiles& files = {});

/// The text of a sandbox's /etc/resolv.conf, below 1,000 bytes for what the functions above return.
/// It waits two seconds for each server and asks everyone twice, so that a lookup that nobody
/// answers fails within 12 seconds, and not in 30 as by default: calls have deadlines.
[[nodiscard]] std::string resolv_conf(const Resolvers& resolvers);

}  // namespace sock::netns
