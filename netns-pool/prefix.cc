#include "netns-pool/prefix.h"

#include <algorithm>
#include <boost/system/error_code.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

namespace sock::netns {

namespace ip = boost::asio::ip;

namespace {

constexpr const char* kStep = "read network";

std::unexpected<Error> unreadable(std::string why) {
  return fail(Code::kInvalid, kStep, std::move(why));
}

/// Whole numbers below 1000, without sign or leading zero.
std::optional<unsigned short> parse_length(std::string_view text) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  unsigned short value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

ip::network_v4 network_of(const ip::address_v4& address, unsigned short length) {
  return {address, length};
}
ip::network_v6 network_of(const ip::address_v6& address, unsigned short length) {
  return {address, length};
}

template <class Address>
Result<Prefix> prefix_of(const Address& address, std::optional<std::string_view> length_text) {
  const auto longest = static_cast<unsigned short>(sizeof(typename Address::bytes_type) * 8);
  const auto length = length_text ? parse_length(*length_text) : longest;
  if (!length || *length > longest) {
    return unreadable("has a length that is not 0 to " + std::to_string(longest));
  }
  const auto network = network_of(address, *length);
  const auto canonical = network.canonical();
  if (network != canonical) {
    return unreadable("has host bits set; the network is " + canonical.to_string());
  }
  return canonical;
}

/// The upper half of a network of less than 32 bits; the lower one has its address.
ip::address_v4 middle_of(const ip::network_v4& network) {
  return ip::address_v4(network.network().to_uint() | 1U << (31U - network.prefix_length()));
}

ip::address_v6 middle_of(const ip::network_v6& network) {
  auto bytes = network.network().to_bytes();
  const unsigned bit = network.prefix_length();
  bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | 0x80U >> (bit % 8));
  return ip::address_v6(bytes);
}

std::pair<Prefix, Prefix> halves(const Prefix& prefix) {
  return std::visit(
      [](const auto& network) -> std::pair<Prefix, Prefix> {
        const auto length = static_cast<unsigned short>(network.prefix_length() + 1);
        return {network_of(network.network(), length), network_of(middle_of(network), length)};
      },
      prefix);
}

}  // namespace

Result<Prefix> parse_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  std::optional<std::string_view> length;
  if (slash != std::string_view::npos) length = text.substr(slash + 1);
  // inet_pton(3) would stop at a NUL, and Boost takes a zone.
  constexpr std::string_view kKnown = "0123456789abcdefABCDEF.:";
  if (address.size() < 46 && address.find_first_not_of(kKnown) == std::string::npos) {
    boost::system::error_code failed;
    if (const auto v4 = ip::make_address_v4(address, failed); !failed) return prefix_of(v4, length);
    if (const auto v6 = ip::make_address_v6(address, failed); !failed) return prefix_of(v6, length);
  }
  return unreadable("is not an IP address or network");
}

std::string to_text(const Prefix& prefix) {
  return std::visit(
      [](const auto& network) {
        return network.is_host() ? network.address().to_string() : network.to_string();
      },
      prefix);
}

bool within(const Prefix& inner, const Prefix& outer) {
  return std::visit(
      [&](const auto& network) {
        const auto* other = std::get_if<std::remove_cvref_t<decltype(network)>>(&outer);
        return other != nullptr && (network == *other || network.is_subnet_of(*other));
      },
      inner);
}

bool overlap(const Prefix& a, const Prefix& b) { return within(a, b) || within(b, a); }

bool covered(const Prefix& prefix, std::span<const Prefix> others) {
  if (std::ranges::any_of(others, [&](const Prefix& other) { return within(prefix, other); })) {
    return true;
  }
  // Ends at the longest of `others`: a half that none of them begins in is not covered.
  if (std::ranges::none_of(others, [&](const Prefix& other) { return within(other, prefix); })) {
    return false;
  }
  const auto [lower, upper] = halves(prefix);
  return covered(lower, others) && covered(upper, others);
}

}  // namespace sock::netns
