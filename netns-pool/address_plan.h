#pragma once

#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <cstdint>
#include <optional>

#include "base/error.h"

namespace sock::netns {

using MacAddress = std::array<std::uint8_t, 6>;

/// What one end of a link is known by.
struct Endpoint {
  boost::asio::ip::address_v4 ipv4;
  std::optional<boost::asio::ip::address_v6> ipv6;
  /// Locally administered, derived from the IPv4 address: nobody ever has to ask for it.
  MacAddress mac{};
};

/// Who has which address of an instance's prefixes: the gateway the first, slot 0 the second, and
/// so on, the same place in both prefixes.
class AddressPlan {
 public:
  /// kInvalid unless the IPv4 prefix is /16 to /29 and the IPv6 prefix, if any, /64 to /112; both
  /// without host bits, and unicast.
  [[nodiscard]] static Result<AddressPlan> create(
      const boost::asio::ip::network_v4& ipv4,
      const std::optional<boost::asio::ip::network_v6>& ipv6);

  [[nodiscard]] const boost::asio::ip::network_v4& ipv4() const { return ipv4_; }
  [[nodiscard]] const std::optional<boost::asio::ip::network_v6>& ipv6() const { return ipv6_; }
  [[nodiscard]] Endpoint gateway() const { return at(1); }
  /// `slot` is below slots().
  [[nodiscard]] Endpoint sandbox(std::uint16_t slot) const { return at(slot + 2U); }
  /// How many places there are for sandboxes.
  [[nodiscard]] std::uint16_t slots() const;

 private:
  AddressPlan(const boost::asio::ip::network_v4& ipv4,
              const std::optional<boost::asio::ip::network_v6>& ipv6)
      : ipv4_(ipv4), ipv6_(ipv6) {}
  [[nodiscard]] Endpoint at(std::uint32_t place) const;

  boost::asio::ip::network_v4 ipv4_;
  std::optional<boost::asio::ip::network_v6> ipv6_;
};

}  // namespace sock::netns
