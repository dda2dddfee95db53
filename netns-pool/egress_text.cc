#include "netns-pool/egress_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <set>
#include <utility>

#include "base/text.h"
#include "netns-pool/reserved_addresses.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "allow destinations";
constexpr std::string_view kInternet = "internet";
constexpr std::string_view kForm =
    "; write internet, or an address or network, then a port or ports and /tcp or /udp if need be, "
    "such as 10.1.2.0/24, 10.1.2.3:5432 or [fd00::/64]:53/udp";
/// More than any form takes.
constexpr std::size_t kMostBytes = 100;

std::unexpected<Error> refused(std::string_view entry, std::string_view why) {
  return fail(Code::kInvalid, kStep, in_quotes(entry) + " " + std::string(why));
}

/// An entry, cut where its parts begin.
struct Parts {
  std::string_view network;
  std::optional<std::string_view> ports;
  Protocol protocol = Protocol::kAny;
  bool brackets = false;
};

/// Nothing when brackets stand where they should not.
std::optional<Parts> split(std::string_view entry) {
  Parts parts;
  if (entry.ends_with("/tcp")) parts.protocol = Protocol::kTcp;
  if (entry.ends_with("/udp")) parts.protocol = Protocol::kUdp;
  if (parts.protocol != Protocol::kAny) entry.remove_suffix(4);
  std::size_t colon = entry.find(':');
  if (entry.starts_with('[')) {
    const std::size_t end = entry.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    parts.brackets = true;
    parts.network = entry.substr(1, end - 1);
    colon = end + 1;
    if (colon == entry.size()) return parts;
    if (entry[colon] != ':') return std::nullopt;
  } else {
    // Two colons are of IPv6, whose ports need brackets.
    if (colon == std::string_view::npos || entry.find(':', colon + 1) != std::string_view::npos) {
      parts.network = entry;
      return parts;
    }
    parts.network = entry.substr(0, colon);
  }
  parts.ports = entry.substr(colon + 1);
  return parts;
}

bool is_name(std::string_view text) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return std::ranges::any_of(text, letter) && std::ranges::all_of(text, [&](char c) {
           return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
                  c == '*';
         });
}

/// 1 to 65535, without sign or leading zero.
std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || rest != end || text.front() == '0') return std::nullopt;
  return port;
}

/// What is wrong with it otherwise.
std::expected<PortRange, const char*> parse_ports(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1));
  if (!first || !last) {
    return std::unexpected("has a port that is not a number from 1 to 65535, or two as 8000-8080");
  }
  if (*last < *first) {
    return std::unexpected("has a range of ports that ends before it begins");
  }
  return PortRange{*first, *last};
}

std::string_view protocol_suffix(Protocol protocol) {
  switch (protocol) {
    case Protocol::kAny:
      return "";
    case Protocol::kTcp:
      return "/tcp";
    case Protocol::kUdp:
      return "/udp";
  }
  return "";
}

struct KnownPrefix {
  Prefix prefix;
  const char* meaning;
};

/// The header's texts: one that does not parse would throw here, in every test.
std::vector<KnownPrefix> known(std::span<const Reserved> v4, std::span<const Reserved> v6) {
  std::vector<KnownPrefix> out;
  for (const auto list : {v4, v6}) {
    for (const auto& reserved : list) {
      out.push_back({parse_prefix(reserved.network).value(), reserved.meaning});
    }
  }
  return out;
}

const std::vector<KnownPrefix>& never() {
  static const auto kAll = known(kNever4, kNever6);
  return kAll;
}

const std::vector<KnownPrefix>& private_networks() {
  static const auto kAll = known(kPrivate4, kPrivate6);
  return kAll;
}

/// Whether a rule for `permitted` lets all of `range` pass; no range is all ports.
bool permits(const Destination& permitted, const Destination& wanted,
             const std::optional<PortRange>& range) {
  if (!within(wanted.network, permitted.network)) return false;
  if (permitted.protocol == Protocol::kAny) return true;
  if (permitted.protocol != wanted.protocol) return false;
  return permitted.ports.empty() ||
         (range && std::ranges::any_of(permitted.ports, [&](const PortRange& one) {
            return one.first <= range->first && range->last <= one.last;
          }));
}

bool contains_internet(const Egress& permitted) {
  if (permitted.internet) return true;
  return std::ranges::all_of(std::array{"0.0.0.0/0", "::/0"}, [&](const char* everything) {
    return contains(permitted, {.network = parse_prefix(everything).value(), .ports = {}});
  });
}

std::optional<std::string> unreachable_because(const Prefix& network, const AddressPlan* plan) {
  std::vector<Prefix> nowhere;
  for (const auto& [prefix, meaning] : never()) {
    if (within(network, prefix)) return to_text(prefix) + " is " + meaning;
    nowhere.push_back(prefix);
  }
  if (plan != nullptr) {
    std::vector<Prefix> own = {plan->ipv4()};
    if (const auto& ipv6 = plan->ipv6()) own.emplace_back(*ipv6);
    for (const auto& prefix : own) {
      if (within(network, prefix)) {
        return to_text(prefix) + " is the sandboxes' own, who cannot reach each other or the host";
      }
      nowhere.push_back(prefix);
    }
    if (network.index() == 1 && !plan->ipv6()) return "sandboxes have no IPv6 here";
  }
  if (covered(network, nowhere)) return "all of it is reserved";
  return std::nullopt;
}

}  // namespace

Result<Destination> parse_destination(std::string_view entry) {
  if (entry.size() > kMostBytes) return refused(entry, "is too long" + std::string(kForm));
  const auto parts = split(entry);
  if (!parts) return refused(entry, "has a bracket out of place" + std::string(kForm));
  if (is_name(parts->network)) {
    return refused(entry,
                   "is a name, and what a name resolves to changes; write its addresses, or a "
                   "network, such as 10.1.2.3:5432 or 10.1.2.0/24");
  }
  const std::size_t slash = entry.rfind('/');
  if (parts->protocol == Protocol::kAny && slash != std::string_view::npos &&
      is_name(entry.substr(slash + 1))) {
    return refused(entry, "has a protocol that is not tcp or udp");
  }
  const auto network = parse_prefix(parts->network);
  if (!network) {
    const bool form = parts->network.find('/') == std::string_view::npos;
    return refused(entry, network.error().message + std::string(form ? kForm : ""));
  }
  if (parts->brackets && network->index() == 0) {
    return refused(entry, "has brackets around IPv4; they are for IPv6");
  }
  Destination destination{.network = *network, .protocol = parts->protocol, .ports = {}};
  if (parts->ports) {
    const auto range = parse_ports(*parts->ports);
    if (!range) return refused(entry, range.error());
    destination.ports.push_back(*range);
    if (destination.protocol == Protocol::kAny) destination.protocol = Protocol::kTcp;
  }
  return destination;
}

Result<Egress> parse_egress(std::span<const std::string> entries) {
  if (entries.empty()) return fail(Code::kInvalid, kStep, "names no destination");
  Egress egress{.internet = false, .allowed = {}};
  std::set<std::string> seen;
  for (const auto& entry : entries) {
    if (entry == kInternet) {
      egress.internet = true;
      continue;
    }
    auto destination = parse_destination(entry);
    if (!destination) return std::unexpected(destination.error());
    if (!seen.insert(to_texts(*destination).front()).second) continue;
    egress.allowed.push_back(std::move(*destination));
  }
  if (egress.allowed.size() > Egress::kMostRules) {
    return fail(Code::kInvalid, kStep,
                "names " + std::to_string(egress.allowed.size()) + " destinations; at most " +
                    std::to_string(Egress::kMostRules) + " are possible beside internet");
  }
  return egress;
}

std::vector<std::string> to_texts(const Destination& destination) {
  const std::string network = to_text(destination.network);
  const std::string bare = destination.network.index() == 1 ? "[" + network + "]" : network;
  if (destination.ports.empty()) {
    return {network + std::string(protocol_suffix(destination.protocol))};
  }
  std::vector<std::string> out;
  for (const auto& range : destination.ports) {
    std::string text = bare + ":" + std::to_string(range.first);
    if (range.last != range.first) text += "-" + std::to_string(range.last);
    if (destination.protocol != Protocol::kTcp) text += protocol_suffix(destination.protocol);
    out.push_back(std::move(text));
  }
  return out;
}

std::vector<std::string> to_texts(const Egress& egress) {
  std::vector<std::string> out;
  if (egress.internet) out.emplace_back(kInternet);
  for (const auto& destination : egress.allowed)
    std::ranges::move(to_texts(destination), std::back_inserter(out));
  return out;
}

bool contains(const Egress& permitted, const Destination& wanted) {
  const auto is_private = [&](const KnownPrefix& known) {
    return overlap(wanted.network, known.prefix);
  };
  // Whatever else is in it is refused before anything is looked up.
  if (permitted.internet && std::ranges::none_of(private_networks(), is_private)) return true;
  const auto permitted_range = [&](const std::optional<PortRange>& range) {
    return std::ranges::any_of(permitted.allowed,
                               [&](const Destination& one) { return permits(one, wanted, range); });
  };
  if (wanted.ports.empty()) return permitted_range(std::nullopt);
  return std::ranges::all_of(wanted.ports, permitted_range);
}

std::optional<std::string> first_beyond(const Egress& permitted, const Egress& wanted) {
  if (wanted.internet && !contains_internet(permitted)) return std::string(kInternet);
  for (const auto& destination : wanted.allowed) {
    if (contains(permitted, destination)) continue;
    auto texts = to_texts(destination);
    for (std::size_t i = 0; i < destination.ports.size(); ++i) {
      Destination one = destination;
      one.ports = {destination.ports[i]};
      if (!contains(permitted, one)) return std::move(texts[i]);
    }
    return std::move(texts.front());
  }
  return std::nullopt;
}

Result<> check_reachable(const Egress& egress, const AddressPlan* plan) {
  for (const auto& destination : egress.allowed) {
    if (const auto why = unreachable_because(destination.network, plan)) {
      return refused(to_texts(destination).front(), "can never be reached: " + *why);
    }
  }
  return {};
}

}  // namespace sock::netns
