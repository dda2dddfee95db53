#pragma once

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace sock::netns {

/// A network of either family, without host bits; an address is one of 32 or 128 bits.
using Prefix = std::variant<boost::asio::ip::network_v4, boost::asio::ip::network_v6>;

/// "10.1.2.0/24", "10.1.2.3", "fd00::/8", "fd00::1": nothing more, no other spelling of IPv4, no
/// zone. kInvalid, whose message follows `text` in a sentence: "has host bits set; …". Hostile
/// input is fine.
[[nodiscard]] Result<Prefix> parse_prefix(std::string_view text);

/// The shortest form that parse_prefix reads back: an address without its length.
[[nodiscard]] std::string to_text(const Prefix& prefix);

/// Whether every address of `inner` is one of `outer`.
[[nodiscard]] bool within(const Prefix& inner, const Prefix& outer);

/// Whether they have an address in common.
[[nodiscard]] bool overlap(const Prefix& a, const Prefix& b);

/// Whether every address of `prefix` is in one of `others` or another.
[[nodiscard]] bool covered(const Prefix& prefix, std::span<const Prefix> others);

}  // namespace sock::netns
