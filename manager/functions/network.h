#pragma once

#include <optional>
#include <string_view>

#include "netns-pool/egress.h"

namespace sock::manager {

class OptionReader;

/// Which network a function's sandboxes join.
enum class Network {
  kNone,  ///< loopback only
  kNat,   ///< a link of its own, through which it may reach what its Egress says
};

/// "none", "nat": as options, descriptions and the registry spell it.
[[nodiscard]] std::string_view to_string(Network network);

/// Takes `key`, one of to_string()'s words; nothing when absent or refused.
[[nodiscard]] std::optional<Network> read_network(OptionReader& reader, std::string_view key);

/// Takes `key`, a list of destinations or one (netns-pool/egress_text.h); nothing when absent or
/// refused.
[[nodiscard]] std::optional<netns::Egress> read_egress(OptionReader& reader, std::string_view key);

}  // namespace sock::manager
