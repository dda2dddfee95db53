#include "manager/functions/network.h"

#include <string>

#include "base/text.h"
#include "manager/settings/option_reader.h"
#include "netns-pool/egress_text.h"

namespace sock::manager {

std::string_view to_string(Network network) {
  switch (network) {
    case Network::kNone:
      return "none";
    case Network::kNat:
      return "nat";
  }
  return "none";
}

std::optional<Network> read_network(OptionReader& reader, std::string_view key) {
  const auto text = reader.text(key);
  if (!text) return std::nullopt;
  for (const auto network : {Network::kNone, Network::kNat}) {
    if (*text == to_string(network)) return network;
  }
  reader.refuse(key, "must be \"none\" or \"nat\", not " + in_quotes(*text));
  return std::nullopt;
}

std::optional<netns::Egress> read_egress(OptionReader& reader, std::string_view key) {
  const auto entries = reader.one_or_more(key);
  if (!entries) return std::nullopt;
  auto egress = netns::parse_egress(*entries);
  if (egress) return std::move(*egress);
  reader.refuse(key, egress.error().message);
  return std::nullopt;
}

}  // namespace sock::manager
