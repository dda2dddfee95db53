#include "pkgcache/adapt/decision.h"

#include <algorithm>
#include <ranges>
#include <set>
#include <utility>
#include <vector>

namespace sock::pkgcache {

ZygotePlan to_plan(const TreeFit& fit, std::size_t max_depth) {
  const ZygoteTree tree = fit.tree(max_depth);
  const FitWorld& world = fit.world();
  const std::vector<double> saved = fit.saved_by_node();
  std::map<PackageSet, double> importance;
  for (std::size_t i = 0; i < fit.size(); ++i) importance[fit.node(i).packages] = saved[i];

  std::vector<std::size_t> order;
  for (std::size_t i = 1; i < tree.size(); ++i) order.push_back(i);
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](std::size_t i) { return importance[tree[i].packages]; });
  ZygotePlan plan;
  std::vector<std::string> ids;
  for (const TreeNode& node : tree) {
    ids.push_back(zygote_id(world.universe.packages_of(node.packages)));
  }
  plan.nodes.push_back({ids[0], "", {}});
  // Each right after the ancestors it still lacks.
  std::vector<bool> placed(tree.size(), false);
  placed[0] = true;
  for (const std::size_t i : order) {
    std::vector<std::size_t> chain;
    for (std::size_t node = i; !placed[node]; node = tree[node].parent) {
      placed[node] = true;
      chain.push_back(node);
    }
    for (const std::size_t node : chain | std::views::reverse) {
      plan.nodes.push_back(
          {ids[node], ids[tree[node].parent], world.universe.packages_of(tree[node].packages)});
    }
  }
  return plan;
}

std::map<std::string, std::uint32_t> to_parked(
    const TreeFit& fit, const ZygotePlan& plan, const ParkedLimits& limits,
    const std::function<std::uint64_t(const std::string& id)>& clone_bytes) {
  const FitWorld& world = fit.world();
  std::map<PackageSet, std::size_t> place;
  std::vector<ParkedDemand> zygotes;
  for (const ZygoteSpec& spec : plan.nodes) {
    const PackageSet set = world.universe.set_of(spec.packages);
    place.emplace(set, zygotes.size());
    zygotes.push_back({0, world.costs.clone_ms(set), clone_bytes(spec.id)});
  }
  for (std::size_t d = 0; d < world.demand.size(); ++d) {
    const auto best = fit.best(d);
    const std::size_t at = best ? place.at(fit.node(*best).packages) : 0;
    zygotes[at].rate += fit.rate(d);
  }
  const auto counts = plan_parked(zygotes, limits);
  std::map<std::string, std::uint32_t> out;
  for (std::size_t i = 0; i < counts.size(); ++i) out[plan.nodes[i].id] = counts[i];
  return out;
}

std::map<std::string, NodePrediction> predict_nodes(const FitWorld& world, const ZygotePlan& plan) {
  std::map<std::string, NodePrediction> out;
  std::map<std::string, PackageSet> sets;
  for (const ZygoteSpec& spec : plan.nodes) {
    PackageSet added = world.universe.set_of(spec.packages);
    sets[spec.id] = added;
    NodePrediction& node = out[spec.id];
    if (spec.packages.empty()) continue;
    added -= sets.at(spec.parent);
    node.mb = world.costs.parameters().node_mb + world.costs.memory_mb(added);
    node.import_ms = world.costs.import_ms(added);
  }
  return out;
}

void list_changes(const ZygotePlan& from, const ZygotePlan& to, Decision& decision) {
  const auto lacking = [](const ZygotePlan& plan, const ZygotePlan& other) {
    std::set<std::string_view> there;
    for (const ZygoteSpec& spec : other.nodes) there.insert(spec.id);
    std::vector<std::string> out;
    for (const ZygoteSpec& spec : plan.nodes) {
      if (!there.contains(spec.id)) out.push_back(spec.id);
    }
    return out;
  };
  decision.create = lacking(to, from);
  decision.retire = lacking(from, to);
  std::ranges::reverse(decision.retire);
}

}  // namespace sock::pkgcache
