#include "manager/planning/memory_pressure.h"

#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "base/file.h"

namespace sock::manager {
namespace {

constexpr std::uint64_t kOthersShare = 20;

/// The bytes behind "Name:  123 kB".
std::uint64_t field(std::string_view text, std::string_view name) {
  const auto at = text.find(name);
  if (at == std::string_view::npos) return 0;
  text.remove_prefix(at + name.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  std::uint64_t kib = 0;
  std::from_chars(text.data(), text.data() + text.size(), kib);
  return kib << 10;
}

}  // namespace

std::uint64_t zygote_budget(std::uint64_t wanted, std::uint64_t used, std::uint64_t available,
                            std::uint64_t total) {
  const std::uint64_t reserve = total / kOthersShare;
  const std::uint64_t all = used + available;
  return std::min(wanted, all > reserve ? all - reserve : 0);
}

HostMemory read_host_memory() {
  const auto text = read_file(AT_FDCWD, "/proc/meminfo");
  if (!text) return {};
  return {field(*text, "MemAvailable:"), field(*text, "MemTotal:")};
}

}  // namespace sock::manager
