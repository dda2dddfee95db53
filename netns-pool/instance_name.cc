#include "netns-pool/instance_name.h"

#include <net/if.h>

#include <algorithm>

namespace sock::netns {
namespace {

// "sk-" + name + "-" + four digits + NUL
constexpr std::size_t kLongest = IFNAMSIZ - 3 - 1 - 4 - 1;
static_assert(kLongest == 7);

bool allowed(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

Result<InstanceName> InstanceName::parse(std::string_view text) {
  if (text.empty() || text.size() > kLongest || !std::all_of(text.begin(), text.end(), allowed)) {
    return fail(Code::kInvalid, "name the instance's network",
                "'" + std::string(text) + "' is not 1 to 7 of a-z and 0-9");
  }
  return InstanceName(text);
}

std::string InstanceName::port(std::uint16_t slot) const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string name = port_prefix();
  for (int shift = 12; shift >= 0; shift -= 4) name += kDigits[(slot >> shift) & 0xf];
  return name;
}

}  // namespace sock::netns
