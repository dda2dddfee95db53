#include "netns-pool/ruleset.h"

#include <array>
#include <cstdio>
#include <span>
#include <string_view>

#include "netns-pool/reserved_addresses.h"

namespace sock::netns {

namespace ip = boost::asio::ip;

namespace {

constexpr const char* kStep = "allow destinations";

std::string listed(std::span<const Reserved> networks) {
  std::string out;
  for (const auto& reserved : networks) {
    out += (out.empty() ? "" : ", ") + std::string(reserved.network);
  }
  return out;
}

/// "elements = { … };" with the addresses of one family; nothing when there are none.
std::string set_of(std::span<const ip::address> addresses,
                   bool (ip::address::*family)() const noexcept) {
  std::string out;
  for (const auto& address : addresses) {
    if (!(address.*family)()) continue;
    out += (out.empty() ? "" : ", ") + address.to_string();
  }
  return out.empty() ? "" : "elements = { " + out + " };";
}

/// Replaces every $name$ of `text`.
std::string filled(std::string_view text,
                   std::initializer_list<std::pair<std::string_view, std::string>> values) {
  std::string out(text);
  for (const auto& [name, value] : values) {
    const std::string key = "$" + std::string(name) + "$";
    for (auto at = out.find(key); at != std::string::npos; at = out.find(key, at + value.size())) {
      out.replace(at, key.size(), value);
    }
  }
  return out;
}

// Ports answer for the addresses of their sandboxes before anything else sees a frame. Nothing but
// IP passes: ARP and neighbour discovery have nothing to ask (SandboxLink).
constexpr std::string_view kBridgeTable = R"(
table bridge $table$ {
  set owners4 { typeof iifname . ether saddr . ip saddr; }
  set owners6 { typeof iifname . ether saddr . ip6 saddr; }
  chain guard {
    type filter hook prerouting priority -300; policy accept;
    iifname != "$ports$*" accept
    iifname . ether saddr . ip saddr @owners4 accept
    iifname . ether saddr . ip6 saddr @owners6 accept
    drop
  }
}
)";

// A connection is remembered in the zone of the sandbox's turn at its address, so that the next
// owner's packets never belong to it; and what comes back is passed on only to the owner whose turn
// it was sent in.
//
// Packets out are judged one by one, those of known connections too. The kernel translates no
// packet that it cannot place in a connection, hence no invalid or untracked one may leave.
//
// Refused packets are answered, so that programs fail at once; the answer is the same whatever the
// reason. TCP needs a reset for that: an ICMP error that comes while connect() still holds the
// socket, as it does from so near, counts for little, and the next comes a second later.
constexpr std::string_view kInetTable = R"(
table inet $table$ {
  set never4 { type ipv4_addr; flags interval; elements = { $never4$ }; }
  set never6 { type ipv6_addr; flags interval; elements = { $never6$ }; }
  set private4 { type ipv4_addr; flags interval; elements = { $private4$ }; }
  set private6 { type ipv6_addr; flags interval; elements = { $private6$ }; }
  map zones4 { typeof ip saddr : ct zone; }
  map zones6 { typeof ip6 saddr : ct zone; }
  map egress4 { type ipv4_addr : verdict; }
  map egress6 { type ipv6_addr : verdict; }
  set resolvers4 { type ipv4_addr; $resolvers4$ }
  set resolvers6 { type ipv6_addr; $resolvers6$ }
  set turns4 { typeof ip daddr . ct zone; }
  set turns6 { typeof ip6 daddr . ct zone; }
  chain refuse {
    meta l4proto tcp reject with tcp reset
    reject with icmpx type admin-prohibited
  }
  chain resolve {
    ip daddr @resolvers4 udp dport 53 accept
    ip daddr @resolvers4 tcp dport 53 accept
    ip6 daddr @resolvers6 udp dport 53 accept
    ip6 daddr @resolvers6 tcp dport 53 accept
  }
  chain internet {
    ip daddr @private4 goto refuse
    ip6 daddr @private6 goto refuse
    accept
  }
  chain outgoing {
    ct state invalid,untracked drop
    oifname "$bridge$" goto refuse
    ip daddr @never4 goto refuse
    ip6 daddr @never6 goto refuse
    ip saddr vmap @egress4
    ip6 saddr vmap @egress6
    drop
  }
  chain incoming {
    ct direction reply ct state established,related ip daddr . ct zone @turns4 accept
    ct direction reply ct state established,related ip6 daddr . ct zone @turns6 accept
    drop
  }
  chain remember {
    type filter hook prerouting priority raw; policy accept;
    iifname "$bridge$" ct original zone set ip saddr map @zones4
    iifname "$bridge$" ct original zone set ip6 saddr map @zones6
  }
  chain pass {
    type filter hook forward priority filter; policy accept;
    iifname "$bridge$" goto outgoing
    oifname "$bridge$" goto incoming
  }
  chain arrive {
    type filter hook input priority filter; policy accept;
    iifname "$bridge$" goto refuse
  }
  chain translate {
    type nat hook postrouting priority srcnat; policy accept;
    oifname != "$bridge$" ip saddr $prefix4$ masquerade
    $translate6$
  }
}
)";

std::string chain_of(const Tenant& tenant) { return "s" + std::to_string(tenant.slot.number); }

std::string text_of(const MacAddress& mac) {
  std::array<char, 18> text{};
  (void)std::snprintf(text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
                      mac[2], mac[3], mac[4], mac[5]);
  return text.data();
}

enum class Verb { kAdd, kDelete };

/// One command for each set, with the elements of all tenants: libnftables takes its time for each
/// command, and hardly any for an element.
std::string elements(Verb verb, const InstanceName& name, std::span<const Tenant* const> tenants) {
  struct Sets {
    std::string owners, zones, turns, egress;
  };
  std::array<Sets, 2> sets;  // IPv4, IPv6
  const auto append = [](std::string& list, const std::string& element) {
    list += (list.empty() ? "" : ", ") + element;
  };
  const auto add_all = [&](Sets& of, const Tenant& tenant, const std::string& address) {
    // What is deleted is named by its key alone.
    const bool add = verb == Verb::kAdd;
    const std::string turn = std::to_string(tenant.slot.turn);
    append(of.owners, "\"" + name.port(tenant.slot.number) + "\" . " + text_of(tenant.end.mac) +
                          " . " + address);
    append(of.zones, add ? address + " : " + turn : address);
    append(of.turns, address + " . " + turn);
    append(of.egress, add ? address + " : goto " + chain_of(tenant) : address);
  };
  for (const Tenant* tenant : tenants) {
    add_all(sets[0], *tenant, tenant->end.ipv4.to_string());
    if (tenant->end.ipv6) add_all(sets[1], *tenant, tenant->end.ipv6->to_string());
  }
  std::string out;
  const auto command = [&](const char* table, const std::string& set, const std::string& list) {
    if (list.empty()) return;
    out += std::string(verb == Verb::kAdd ? "add" : "delete") + " element " + table + " " +
           name.table() + " " + set + " { " + list + " }\n";
  };
  for (const char family : {'4', '6'}) {
    const auto& of = sets[family == '4' ? 0 : 1];
    command("bridge", std::string("owners") + family, of.owners);
    command("inet", std::string("zones") + family, of.zones);
    command("inet", std::string("turns") + family, of.turns);
    command("inet", std::string("egress") + family, of.egress);
  }
  return out;
}

std::string network_match(const Destination& destination) {
  if (const auto* v4 = std::get_if<boost::asio::ip::network_v4>(&destination.network)) {
    return "ip daddr " + v4->canonical().to_string();
  }
  return "ip6 daddr " +
         std::get<boost::asio::ip::network_v6>(destination.network).canonical().to_string();
}

/// One rule a port range rather than a set of ports: libnftables reads all anonymous sets of the
/// ruleset back before each transaction, which made it 60 ms instead of 2 with a thousand
/// sandboxes.
Result<std::vector<std::string>> rules_for(const Destination& destination) {
  const std::string network = network_match(destination);
  if (destination.protocol == Protocol::kAny) {
    if (!destination.ports.empty()) {
      return fail(Code::kInvalid, kStep, network + ": ports need a protocol, tcp or udp");
    }
    return std::vector{network + " accept\n"};
  }
  const std::string protocol = destination.protocol == Protocol::kTcp ? "tcp" : "udp";
  if (destination.ports.empty()) {
    return std::vector{network + " meta l4proto " + protocol + " accept\n"};
  }
  std::vector<std::string> rules;
  for (const auto& range : destination.ports) {
    std::string ports = std::to_string(range.first);
    if (range.last < range.first) {
      return fail(Code::kInvalid, kStep, network + ": a range of ports ends before it begins");
    }
    if (range.last != range.first) ports += "-" + std::to_string(range.last);
    rules.push_back(network + " " + protocol + " dport " + ports + " accept\n");
  }
  return rules;
}

}  // namespace

std::string rules_of_instance(const InstanceName& name, const AddressPlan& plan,
                              std::span<const ip::address> resolvers) {
  std::string translate6;
  if (const auto& ipv6 = plan.ipv6()) {
    translate6 =
        "oifname != \"" + name.bridge() + "\" ip6 saddr " + ipv6->to_string() + " masquerade";
  }
  return filled(std::string(kBridgeTable) + std::string(kInetTable),
                {{"table", name.table()},
                 {"ports", name.port_prefix()},
                 {"bridge", name.bridge()},
                 {"never4", listed(kNever4)},
                 {"never6", listed(kNever6)},
                 {"private4", listed(kPrivate4)},
                 {"private6", listed(kPrivate6)},
                 {"resolvers4", set_of(resolvers, &ip::address::is_v4)},
                 {"resolvers6", set_of(resolvers, &ip::address::is_v6)},
                 {"prefix4", plan.ipv4().to_string()},
                 {"translate6", translate6}});
}

Result<std::string> rules_for(const Egress& egress, unsigned most_connections) {
  std::string rules = "ct state new ct count over " + std::to_string(most_connections) +
                      " goto refuse\n"
                      "jump resolve\n";
  std::size_t count = 0;
  for (const auto& destination : egress.allowed) {
    auto allowing = rules_for(destination);
    if (!allowing) return std::unexpected(allowing.error());
    for (const auto& rule : *allowing) rules += rule;
    count += allowing->size();
  }
  if (count > Egress::kMostRules) {
    return fail(Code::kInvalid, kStep,
                std::to_string(count) + " rules, of which a sandbox may have " +
                    std::to_string(Egress::kMostRules));
  }
  return rules + (egress.internet ? "goto internet\n" : "goto refuse\n");
}

std::string rules_to_admit(const InstanceName& name, std::span<const Admission> admissions) {
  if (admissions.empty()) return "";
  std::string out = "table inet " + name.table() + " {\n";
  std::vector<const Tenant*> tenants;
  for (const auto& [tenant, rules] : admissions) {
    out += "chain " + chain_of(*tenant) + " {\n" + *rules + "}\n";
    tenants.push_back(tenant);
  }
  return out + "}\n" + elements(Verb::kAdd, name, tenants);
}

std::string rules_to_dismiss(const InstanceName& name, std::span<const Tenant* const> tenants) {
  std::string out = elements(Verb::kDelete, name, tenants);
  for (const Tenant* tenant : tenants) {
    out += "delete chain inet " + name.table() + " " + chain_of(*tenant) + "\n";
  }
  return out;
}

std::string rules_to_remove(const InstanceName& name) {
  // Adding what is there already is no error; deleting what is not there would be.
  std::string out;
  for (const char* family : {"bridge ", "inet "}) {
    const std::string table = std::string("table ") + family + name.table() + "\n";
    out += "add " + table + "delete " + table;
  }
  return out;
}

}  // namespace sock::netns
