#include "pkgcache/planner/kindred.h"

#include <map>
#include <utility>

#include "pkgcache/planner/random.h"

namespace sock::pkgcache {

std::vector<DemandedSet> with_kindred(const Universe& universe, std::span<const DemandedSet> demand,
                                      const Dependencies& dependencies, const Unseen& unseen) {
  const bool some = unseen.share > 0 && unseen.variants > 0;
  if (!some) return {demand.begin(), demand.end()};
  const double imagined = unseen.share / static_cast<double>(unseen.variants);
  std::map<PackageSet, double> rates;
  for (const DemandedSet& function : demand) {
    rates[function.packages] += function.rate * (1 - unseen.share);
    // From the set itself, so that other functions coming or going do not change this one's.
    Random random(function.packages.hash());
    for (std::size_t v = 0; v < unseen.variants; ++v) {
      PackageSet kept = universe.empty_set();
      function.packages.for_each([&](std::size_t i) {
        if (random.unit() >= unseen.changed) kept.insert(i);
      });
      rates[dependencies.trimmed(std::move(kept))] += function.rate * imagined;
    }
  }
  std::vector<DemandedSet> out;
  out.reserve(rates.size());
  for (const auto& [packages, rate] : rates) out.push_back({packages, rate});
  return out;
}

}  // namespace sock::pkgcache
