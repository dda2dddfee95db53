#include "bench/private_host.h"

#include <fcntl.h>
#include <sched.h>

#include "base/file.h"
#include "netns-pool/link_requests.h"
#include "netns-pool/rtnetlink.h"

namespace sock::bench {

Result<> enter_private_host() {
  if (::unshare(CLONE_NEWNET) < 0) return fail_errno("unshare", "network namespace (as root?)");
  auto route = netns::Rtnetlink::open();
  if (!route) return std::unexpected(route.error());
  if (auto up = netns::bring_up(*route, "lo"); !up) return up;
  // Of this namespace alone.
  return write_control(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1");
}

Result<std::vector<std::string>> links_here() {
  auto route = netns::Rtnetlink::open();
  if (!route) return std::unexpected(route.error());
  auto links = route->links();
  if (!links) return std::unexpected(links.error());
  std::vector<std::string> out;
  for (const auto& link : *links) {
    out.push_back(std::to_string(link.index) + " " + link.name + " " + link.kind);
  }
  return out;
}

}  // namespace sock::bench
