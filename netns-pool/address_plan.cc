#include "netns-pool/address_plan.h"

#include <string>

namespace sock::netns {

namespace ip = boost::asio::ip;

namespace {

constexpr const char* kStep = "plan addresses";

std::unexpected<Error> unusable(const std::string& prefix, std::string_view why) {
  return fail(Code::kInvalid, kStep, prefix + " " + std::string(why));
}

}  // namespace

Result<AddressPlan> AddressPlan::create(const ip::network_v4& ipv4,
                                        const std::optional<ip::network_v6>& ipv6) {
  if (ipv4.prefix_length() < 16 || ipv4.prefix_length() > 29) {
    return unusable(ipv4.to_string(), "is not a prefix of 16 to 29 bits");
  }
  if (ipv4 != ipv4.canonical()) return unusable(ipv4.to_string(), "has host bits set");
  if (ipv4.network().is_multicast() || ipv4.network().is_loopback()) {
    return unusable(ipv4.to_string(), "is not unicast");
  }
  if (!ipv6) return AddressPlan(ipv4, ipv6);
  if (ipv6->prefix_length() < 64 || ipv6->prefix_length() > 112) {
    return unusable(ipv6->to_string(), "is not a prefix of 64 to 112 bits");
  }
  if (*ipv6 != ipv6->canonical()) return unusable(ipv6->to_string(), "has host bits set");
  if (ipv6->network().is_multicast() || ipv6->network().is_link_local()) {
    return unusable(ipv6->to_string(), "is not global unicast or unique local");
  }
  return AddressPlan(ipv4, ipv6);
}

std::uint16_t AddressPlan::slots() const {
  // Without the network's own address, the gateway's and the broadcast address.
  return static_cast<std::uint16_t>((1U << (32U - ipv4_.prefix_length())) - 3);
}

Endpoint AddressPlan::at(std::uint32_t place) const {
  Endpoint end;
  end.ipv4 = ip::address_v4(ipv4_.network().to_uint() + place);
  const auto bytes = end.ipv4.to_bytes();
  end.mac = {0x02, 0x73, bytes[0], bytes[1], bytes[2], bytes[3]};
  if (ipv6_) {
    auto address = ipv6_->network().to_bytes();
    address[14] = static_cast<std::uint8_t>(place >> 8U);
    address[15] = static_cast<std::uint8_t>(place);
    end.ipv6 = ip::address_v6(address);
  }
  return end;
}

}  // namespace sock::netns
