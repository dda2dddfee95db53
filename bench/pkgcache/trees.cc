#include "bench/pkgcache/trees.h"

#include <cmath>

#include "pkgcache/baselines/compare.h"
#include "pkgcache/planner/judge.h"
#include "pkgcache/planner/lookup.h"

namespace sock::bench {
namespace {

using pkgcache::Algorithm;

/// More than any plan within a sensible budget has.
constexpr std::size_t kMostZygotes = 1000;

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string set_text(const pkgcache::Universe& universe, const pkgcache::PackageSet& set) {
  std::string out;
  for (const auto& package : universe.packages_of(set)) {
    out += (out.empty() ? "" : ", ") + quoted(package.to_string());
  }
  return "[" + out + "]";
}

}  // namespace

std::vector<Contender> plan_contenders(const Sample& sample, double budget_mb, std::uint64_t seed) {
  const auto demand = pkgcache::demanded_sets(sample.universe, sample.functions);
  pkgcache::Comparison comparison;
  comparison.limits.budget_mb = budget_mb;
  comparison.limits.unseen.share = 0;  // these functions are all there are
  comparison.seed = seed;
  const auto plan = [&](Algorithm algorithm) {
    return pkgcache::compare(algorithm, sample.universe, demand, demand, sample.costs, comparison);
  };
  const auto sock = plan(Algorithm::kSock);
  const auto ours = plan(Algorithm::kOurs);
  return {
      {.name = "none", .what = "no zygotes", .tree = plan(Algorithm::kNone).tree},
      {.name = "forklift", .what = "ForkLift v3", .tree = plan(Algorithm::kForkLift).tree},
      {.name = "sock",
       .what = "SOCK",
       .tree = sock.tree,
       .online_creation_ms = sock.judgement.creation_ms_per_call},
      {.name = "ours", .what = "ours", .tree = ours.tree},
      {.name = "adaptive", .what = "ours, adaptive", .adaptive = true, .tree = ours.tree},
  };
}

Expectation expect(const Sample& sample, const pkgcache::ZygoteTree& tree,
                   std::span<const std::size_t> calls) {
  const pkgcache::BestMatch match(tree, sample.costs);
  pkgcache::ServiceTimes times;
  double held = 0;
  double wanted = 0;
  for (const std::size_t call : calls) {
    const auto packages = sample.universe.set_of(sample.functions[call].packages);
    const auto& found = tree[match.find(packages)].packages;
    times.add(sample.costs.service_ms(packages, found), 1);
    held += static_cast<double>(found.count());
    wanted += static_cast<double>(packages.count());
  }
  return {.mean_ms = times.mean(),
          .p50_ms = times.percentile(0.50),
          .p99_ms = times.percentile(0.99),
          .hit_ratio = wanted > 0 ? held / wanted : 0,
          .memory_mb = pkgcache::tree_mb(tree, sample.costs),
          .creation_ms = pkgcache::creation_ms(tree, sample.costs)};
}

std::string config_of(const Contender& contender, const Sample& sample, const ConfigSpec& spec) {
  std::string out = "[packages]\nfind_links = [" + quoted(spec.wheels.string()) +
                    "]\n\n[calls]\nhistory = " + std::to_string(spec.history) +
                    "\n\n[zygotes]\nfunctions = false\nreplicas = 0\nrotate_clones = 0\n"
                    "rotate_minutes = 0\nmemory = \"" +
                    std::to_string(std::lround(spec.budget_mb)) + "M\"\n";
  if (contender.adaptive) {
    return out + "plan = \"measured\"\nmax = " + std::to_string(kMostZygotes) + "\nsets = []\n";
  }
  out += "plan = \"configured\"\nmax = " + std::to_string(contender.tree.size()) + "\nsets = [\n";
  for (std::size_t node = 1; node < contender.tree.size(); ++node) {
    out += "  " + set_text(sample.universe, contender.tree[node].packages) + ",\n";
  }
  return out + "]\n";
}

}  // namespace sock::bench
