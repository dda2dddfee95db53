#include "pkgcache/planner/judge.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

void ServiceTimes::add(double ms, double rate) {
  if (rate <= 0) return;
  times_.emplace_back(ms, rate);
  total_ += ms * rate;
  rate_ += rate;
}

double ServiceTimes::percentile(double part) const {
  auto sorted = times_;
  std::ranges::sort(sorted);
  double seen = 0;
  for (const auto& [ms, rate] : sorted) {
    seen += rate;
    if (seen >= part * rate_) return ms;
  }
  return sorted.empty() ? 0 : sorted.back().first;
}

Judgement judge(const ZygoteTree& tree, std::span<const DemandedSet> workload,
                const CostModel& costs, const Lookup& lookup) {
  Judgement out;
  ServiceTimes served;
  ServiceTimes uncached;
  double held = 0;
  double wanted = 0;
  for (const DemandedSet& call : workload) {
    const PackageSet& found = tree[lookup(call.packages)].packages;
    served.add(costs.service_ms(call.packages, found), call.rate);
    uncached.add(costs.service_ms(call.packages, tree[0].packages), call.rate);
    held += call.rate * static_cast<double>(found.count());
    wanted += call.rate * static_cast<double>(call.packages.count());
  }
  out.mean_ms = served.mean();
  out.p99_ms = served.percentile(0.99);
  out.uncached_ms = uncached.mean();
  out.mb = tree_mb(tree, costs);
  out.hit_ratio = wanted > 0 ? held / wanted : 0;
  out.nodes = tree.size();
  return out;
}

std::vector<NodeUse> node_use(const ZygoteTree& tree, std::span<const DemandedSet> workload,
                              const CostModel& costs, const Lookup& lookup) {
  std::vector<NodeUse> out(tree.size());
  double rate = 0;
  for (const DemandedSet& call : workload) {
    const std::size_t node = lookup(call.packages);
    rate += call.rate;
    out[node].share += call.rate;
    if (node != 0) out[node].saved_ms = costs.saved_ms(tree[node].packages);
  }
  for (NodeUse& use : out) use.share = rate > 0 ? use.share / rate : 0;
  return out;
}

}  // namespace sock::pkgcache
