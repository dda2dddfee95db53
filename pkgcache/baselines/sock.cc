#include "pkgcache/baselines/sock.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sock::pkgcache {

SockCache::SockCache(const PackageSet& empty, const CostModel& costs, double budget_mb)
    : costs_(costs), budget_mb_(budget_mb) {
  entries_.push_back({empty, 0, 0, 0, 0, 0, 0});
}

std::size_t SockCache::best_for(const PackageSet& wanted) const {
  std::size_t best = 0;
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    if (entries_[i].count > entries_[best].count && entries_[i].packages.is_subset_of(wanted)) {
      best = i;
    }
  }
  return best;
}

SockCache::Entry& SockCache::by_id(std::uint64_t id) {
  return *std::ranges::lower_bound(entries_, id, {}, &Entry::id);
}

void SockCache::evict(std::size_t entry) {
  --by_id(entries_[entry].parent).children;
  mb_ -= entries_[entry].mb;
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(entry));
}

SockCache::Served SockCache::call(const PackageSet& wanted) {
  const std::size_t best = best_for(wanted);
  Entry& parent = entries_[best];
  ++parent.hits;
  Served served;
  served.held = parent.count;
  served.service_ms = costs_.service_ms(wanted, parent.packages);
  const std::size_t count = wanted.count();
  if (parent.count == count) return served;

  PackageSet added = wanted;
  added -= parent.packages;
  const double mb = costs_.parameters().node_mb + costs_.memory_mb(added);
  const std::uint64_t parent_id = parent.id;
  ++parent.children;
  served.creation_ms = costs_.import_ms(added);
  // The call it is made for is its first hit.
  entries_.push_back({wanted, parent_id, next_id_++, count, 0, mb, 1});
  mb_ += mb;
  while (mb_ > budget_mb_) {
    std::size_t victim = 0;
    for (std::size_t i = 1; i < entries_.size(); ++i) {
      if (entries_[i].children > 0) continue;
      // hits/mb < hits/mb, without a division by nothing
      if (victim == 0 ||
          entries_[i].hits * entries_[victim].mb < entries_[victim].hits * entries_[i].mb) {
        victim = i;
      }
    }
    if (victim == 0) break;
    evict(victim);
  }
  return served;
}

ZygoteTree SockCache::tree() const {
  ZygoteTree out;
  std::map<std::uint64_t, std::size_t> index;
  for (const Entry& entry : entries_) {
    index[entry.id] = out.size();
    const std::size_t parent = entry.id == 0 ? 0 : index[entry.parent];
    out.push_back({entry.packages, parent, entry.id == 0 ? 0 : out[parent].depth + 1});
  }
  return out;
}

}  // namespace sock::pkgcache
