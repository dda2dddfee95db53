#include "netns-pool/kept_namespaces.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sock::netns {

bool KeptNamespaces::put(std::string_view owner, Netns& netns, Clock::time_point now) {
  if (size_ >= most_) return false;
  auto found = kept_.find(owner);
  if (found == kept_.end()) found = kept_.emplace(std::string(owner), std::vector<Kept>()).first;
  found->second.push_back(Kept{std::move(netns), now});
  ++size_;
  return true;
}

std::optional<Netns> KeptNamespaces::take(std::string_view owner) {
  const auto found = kept_.find(owner);
  if (found == kept_.end()) return std::nullopt;
  Netns netns = std::move(found->second.back().netns);
  found->second.pop_back();
  if (found->second.empty()) kept_.erase(found);
  --size_;
  return netns;
}

std::vector<Netns> KeptNamespaces::take_older_than(Clock::time_point time) {
  std::vector<Netns> taken;
  for (auto at = kept_.begin(); at != kept_.end();) {
    auto& kept = at->second;
    const auto young =
        std::ranges::find_if(kept, [time](const Kept& each) { return each.since >= time; });
    for (auto old = kept.begin(); old != young; ++old) taken.push_back(std::move(old->netns));
    kept.erase(kept.begin(), young);
    at = kept.empty() ? kept_.erase(at) : std::next(at);
  }
  size_ -= taken.size();
  return taken;
}

}  // namespace sock::netns
