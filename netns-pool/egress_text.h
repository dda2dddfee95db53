#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "netns-pool/address_plan.h"
#include "netns-pool/egress.h"

/// How people write what a sandbox may reach: a list of
///
///   internet                           every public address
///   NETWORK [:PORT[-PORT]] [/PROTOCOL]
///
/// NETWORK is an address or a network, IPv6 in brackets where a port follows; PROTOCOL is tcp or
/// udp. A port without a protocol is tcp's; neither is everything.
///
///   10.1.2.0/24   10.1.2.3:5432   10.0.0.0/8:8000-8080   203.0.113.9/udp   [fd00::/64]:53/udp
///
/// Names are not taken: packets are judged by address, and what a name resolves to changes.
namespace sock::netns {

/// An entry other than "internet". kInvalid quotes the entry, and says what is wrong and the form.
/// Hostile input is fine.
[[nodiscard]] Result<Destination> parse_destination(std::string_view entry);

/// A list; what it says twice counts once. kInvalid as above, and for an empty list or one of more
/// than Egress::kMostRules rules.
[[nodiscard]] Result<Egress> parse_egress(std::span<const std::string> entries);

/// The shortest forms that read back to the same, an entry for each range of ports: "internet"
/// first, the others in their order.
[[nodiscard]] std::vector<std::string> to_texts(const Egress& egress);
[[nodiscard]] std::vector<std::string> to_texts(const Destination& destination);

/// Whether `permitted` lets a sandbox reach all of `wanted`: an entry with a network that `wanted`
/// lies within, its protocol, and, for each range of its ports, a range with all of them; or the
/// internet, where no private address is in `wanted`.
[[nodiscard]] bool contains(const Egress& permitted, const Destination& wanted);

/// The first of to_texts(wanted) that `permitted` does not contain.
[[nodiscard]] std::optional<std::string> first_beyond(const Egress& permitted,
                                                      const Egress& wanted);

/// kInvalid names the first entry of which no address can ever be reached, and why: the addresses
/// nobody may reach, the sandboxes' own, and IPv6 where `plan` has none. Null: sandboxes have no
/// addresses yet.
[[nodiscard]] Result<> check_reachable(const Egress& egress, const AddressPlan* plan);

}  // namespace sock::netns
