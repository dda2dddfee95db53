#include "pkgcache/match.h"

namespace sock::pkgcache {

std::optional<std::size_t> best_zygote(std::span<const std::vector<Package>> candidates,
                                       const std::vector<Package>& wanted) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (best && candidates[i].size() <= candidates[*best].size()) continue;
    if (is_subset(candidates[i], wanted)) best = i;
  }
  return best;
}

}  // namespace sock::pkgcache
