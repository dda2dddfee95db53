#include "netns-pool/resolvers.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "netns-pool/ruleset.h"

namespace sock::netns {

namespace ip = boost::asio::ip;

namespace {

constexpr const char* kStep = "check resolver";

std::optional<ip::address> address_of(const sockaddr* from) {
  if (from == nullptr) return std::nullopt;
  if (from->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, from, sizeof v4);
    return ip::address_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (from->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, from, sizeof v6);
    ip::address_v6::bytes_type bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    return ip::address_v6(bytes);
  }
  return std::nullopt;
}

Result<bool> is_of_host(const ip::address& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) < 0) return fail_errno(kStep, "getifaddrs");
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (address_of(entry->ifa_addr) == address) return true;
  }
  return false;
}

bool is_of_sandboxes(const ip::address& address, const AddressPlan& plan) {
  if (address.is_v4()) {
    const auto length = plan.ipv4().prefix_length();
    return ip::network_v4(address.to_v4(), length).canonical() == plan.ipv4();
  }
  if (!plan.ipv6()) return false;
  const auto length = plan.ipv6()->prefix_length();
  return ip::network_v6(address.to_v6(), length).canonical() == *plan.ipv6();
}

std::unexpected<Error> refuse(const ip::address& resolver, const char* why) {
  return fail(Code::kInvalid, kStep, "resolver " + resolver.to_string() + " " + why);
}

}  // namespace

Result<> check_resolver(const ip::address& resolver, const AddressPlan& plan) {
  auto bare = resolver;
  if (bare.is_v6()) bare = ip::address_v6(bare.to_v6().to_bytes());  // without a scope
  if (bare.is_loopback()) return refuse(resolver, "is the host itself, which no sandbox reaches");
  if (never_reachable(bare)) {
    return refuse(resolver,
                  "is link-local, multicast, reserved or a metadata service's address, "
                  "which no sandbox reaches");
  }
  if (is_of_sandboxes(bare, plan)) return refuse(resolver, "is in the sandboxes' own prefix");
  auto of_host = is_of_host(bare);
  if (!of_host) return std::unexpected(of_host.error());
  if (*of_host) return refuse(resolver, "is the host itself, which no sandbox reaches");
  if (bare.is_v6() && !plan.ipv6()) {
    return refuse(resolver, "is an IPv6 address, of which sandboxes have none");
  }
  return {};
}

}  // namespace sock::netns
