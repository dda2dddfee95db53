#include "pkgcache/baselines/compare.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "pkgcache/baselines/forklift.h"
#include "pkgcache/baselines/sock.h"
#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/random.h"

namespace sock::pkgcache {

namespace {

constexpr std::array<std::pair<Algorithm, std::string_view>, 4> kNames = {{
    {Algorithm::kNone, "none"},
    {Algorithm::kForkLift, "forklift"},
    {Algorithm::kSock, "sock"},
    {Algorithm::kOurs, "ours"},
}};

/// Draws calls from a workload by rate.
class Calls {
 public:
  Calls(std::span<const DemandedSet> workload, std::uint64_t seed)
      : workload_(workload), random_(seed) {
    double sum = 0;
    for (const DemandedSet& set : workload) until_.push_back(sum += set.rate);
  }

  [[nodiscard]] bool none() const { return until_.empty() || until_.back() <= 0; }
  const PackageSet& next() {
    const double at = random_.unit() * until_.back();
    const auto found = std::ranges::upper_bound(until_, at);
    const auto i = std::min<std::size_t>(static_cast<std::size_t>(found - until_.begin()),
                                         workload_.size() - 1);
    return workload_[i].packages;
  }

 private:
  std::span<const DemandedSet> workload_;
  Random random_;
  std::vector<double> until_;
};

Compared replay_sock(const Universe& universe, std::span<const DemandedSet> planned,
                     std::span<const DemandedSet> judged, const CostModel& costs,
                     const Comparison& comparison) {
  SockCache cache(universe.empty_set(), costs, comparison.limits.budget_mb);
  Calls learning(planned, comparison.seed);
  for (std::size_t i = 0; i < comparison.learning_calls && !learning.none(); ++i) {
    cache.call(learning.next());
  }
  Compared out;
  out.tree = cache.tree();
  const BestMatch match(out.tree, costs);
  const Lookup lookup = [&](const PackageSet& wanted) { return match.find(wanted); };
  out.use = node_use(out.tree, judged, costs, lookup);
  out.judgement = judge(out.tree, judged, costs, lookup);

  Calls calls(judged, comparison.seed + 1);
  if (calls.none()) return out;
  ServiceTimes served;
  double creation = 0;
  double held = 0;
  double wanted = 0;
  double mb = 0;
  for (std::size_t i = 0; i < comparison.judged_calls; ++i) {
    const PackageSet& call = calls.next();
    const auto outcome = cache.call(call);
    served.add(outcome.service_ms, 1);
    creation += outcome.creation_ms;
    held += static_cast<double>(outcome.held);
    wanted += static_cast<double>(call.count());
    mb += cache.mb();
  }
  const auto n = static_cast<double>(comparison.judged_calls);
  out.judgement.mean_ms = served.mean();
  out.judgement.p99_ms = served.percentile(0.99);
  out.judgement.creation_ms_per_call = n > 0 ? creation / n : 0;
  out.judgement.hit_ratio = wanted > 0 ? held / wanted : 0;
  out.judgement.mb = n > 0 ? mb / n : 0;
  out.judgement.nodes = cache.tree().size();
  return out;
}

Compared judged_as(ZygoteTree tree, std::span<const DemandedSet> judged, const CostModel& costs,
                   const Lookup& lookup) {
  Compared out;
  out.judgement = judge(tree, judged, costs, lookup);
  out.use = node_use(tree, judged, costs, lookup);
  out.tree = std::move(tree);
  return out;
}

}  // namespace

std::string_view to_string(Algorithm algorithm) {
  return std::ranges::find(kNames, algorithm, &std::pair<Algorithm, std::string_view>::first)
      ->second;
}

std::optional<Algorithm> algorithm_of(std::string_view name) {
  for (const auto& [algorithm, known] : kNames) {
    if (known == name) return algorithm;
  }
  return std::nullopt;
}

Compared compare(Algorithm algorithm, const Universe& universe,
                 std::span<const DemandedSet> planned, std::span<const DemandedSet> judged,
                 const CostModel& costs, const Comparison& comparison) {
  if (algorithm == Algorithm::kSock) {
    return replay_sock(universe, planned, judged, costs, comparison);
  }
  ZygoteTree tree = {{universe.empty_set(), 0, 0}};
  if (algorithm != Algorithm::kNone) {
    const Dependencies dependencies(universe, planned);
    if (algorithm == Algorithm::kForkLift) {
      ForkLiftLimits limits;
      limits.budget_mb = comparison.limits.budget_mb;
      tree = forklift_tree(universe, planned, dependencies, costs, limits);
      const FirstMatch match(tree);
      return judged_as(std::move(tree), judged, costs,
                       [&](const PackageSet& wanted) { return match.find(wanted); });
    }
    tree = plan_tree(universe, planned, dependencies, costs, comparison.limits);
  }
  const BestMatch match(tree, costs);
  return judged_as(std::move(tree), judged, costs,
                   [&](const PackageSet& wanted) { return match.find(wanted); });
}

}  // namespace sock::pkgcache
