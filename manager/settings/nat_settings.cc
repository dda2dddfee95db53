#include "manager/settings/nat_settings.h"

#include <string>
#include <variant>

#include "base/text.h"
#include "manager/functions/network.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/egress_text.h"

namespace sock::manager {
namespace {

namespace ip = boost::asio::ip;

/// resolv.conf(5) takes no more.
constexpr std::size_t kMostResolvers = 3;

template <class Network>
void read_own(OptionReader& in, std::string_view key, std::string_view family,
              std::optional<Network>& out) {
  const auto text = in.text(key);
  if (!text) return;
  const auto prefix = netns::parse_prefix(*text);
  if (!prefix) return in.refuse(key, in_quotes(*text) + " " + prefix.error().message);
  const auto* const network = std::get_if<Network>(&*prefix);
  if (network == nullptr) {
    return in.refuse(key, in_quotes(*text) + " is not a network of " + std::string(family));
  }
  out = *network;
}

/// The networks together; nothing without IPv4, or once the reader has failed.
std::optional<netns::AddressPlan> read_plan(OptionReader& in, Config::Nat& nat) {
  read_own(in, "ipv4", "IPv4", nat.ipv4);
  read_own(in, "ipv6", "IPv6", nat.ipv6);
  if (!nat.ipv4) {
    if (nat.ipv6) in.refuse("ipv6", "needs ipv4, too");
    return std::nullopt;
  }
  if (const auto alone = netns::AddressPlan::create(*nat.ipv4, std::nullopt); !alone) {
    in.refuse("ipv4", alone.error().message);
    return std::nullopt;
  }
  const auto plan = netns::AddressPlan::create(*nat.ipv4, nat.ipv6);
  if (plan) return *plan;
  in.refuse("ipv6", plan.error().message);
  return std::nullopt;
}

void read_resolvers(OptionReader& in, const netns::AddressPlan* plan, Config::Nat& nat) {
  const auto texts = in.one_or_more("resolvers");
  if (!texts) return;
  if (texts->size() > kMostResolvers) {
    return in.refuse("resolvers", "must be at most " + std::to_string(kMostResolvers) +
                                      ", as resolv.conf(5) takes, not " +
                                      std::to_string(texts->size()));
  }
  nat.resolvers.clear();
  for (const std::string& text : *texts) {
    const auto prefix = netns::parse_prefix(text);
    if (!prefix || text.find('/') != std::string::npos) {
      return in.refuse("resolvers", in_quotes(text) + " is not an IP address");
    }
    netns::Egress asked{.internet = false, .allowed = {}};
    asked.allowed.push_back({.network = *prefix, .ports = {}});
    if (const auto reachable = netns::check_reachable(asked, plan); !reachable) {
      return in.refuse("resolvers", reachable.error().message);
    }
    nat.resolvers.push_back(
        std::visit([](const auto& network) { return ip::address(network.address()); }, *prefix));
  }
}

}  // namespace

void read_nat(OptionReader& in, Config::Nat& nat) {
  const auto plan = read_plan(in, nat);
  const netns::AddressPlan* const known = plan ? &*plan : nullptr;
  read_resolvers(in, known, nat);
  if (auto allow = read_egress(in, "allow")) nat.allow = std::move(*allow);
  if (const auto reachable = netns::check_reachable(nat.allow, known); !reachable) {
    in.refuse("allow", reachable.error().message);
  }
  in.number("low", nat.low, {0, 4096});
  in.number("high", nat.high, {1, 4096});
  in.number("connections", nat.connections, {1, 65'535});
  if (nat.low > nat.high) {
    in.refuse("low", "must not be above high (" + std::to_string(nat.high) + "), not " +
                         std::to_string(nat.low));
  }
  if (known != nullptr && nat.high > known->slots()) {
    in.refuse("high", "must not be above the " + std::to_string(known->slots()) + " addresses of " +
                          known->ipv4().to_string() + ", not " + std::to_string(nat.high));
  }
}

}  // namespace sock::manager
