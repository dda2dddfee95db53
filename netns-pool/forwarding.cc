#include "netns-pool/forwarding.h"

#include <fcntl.h>

#include <algorithm>
#include <string>

#include "base/file.h"

namespace sock::netns {
namespace {

constexpr const char* kStep = "check that the kernel forwards packets";

/// /proc/sys/net shows the namespace of the thread that looks.
Result<> check(const std::string& sysctl) {
  std::string path = "/proc/sys/" + sysctl;
  std::replace(path.begin() + 10, path.end(), '.', '/');
  auto value = read_file(AT_FDCWD, path, 16);
  if (!value) return std::unexpected(value.error());
  if (!value->starts_with('0')) return {};
  return fail(Code::kInvalid, kStep, sysctl + " is off; to set it: sysctl -w " + sysctl + "=1");
}

}  // namespace

Result<> check_forwarding_ipv4() { return check("net.ipv4.ip_forward"); }
Result<> check_forwarding_ipv6() { return check("net.ipv6.conf.all.forwarding"); }

}  // namespace sock::netns
