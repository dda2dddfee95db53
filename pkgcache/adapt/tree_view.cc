#include "pkgcache/adapt/tree_view.h"

#include <algorithm>
#include <map>
#include <utility>

#include "pkgcache/planner/lookup.h"

namespace sock::pkgcache {

std::vector<NodeView> view_tree(const ZygotePlan& plan, std::span<const Demand> demand,
                                const MeasuredPackages& packages, const CostParameters& costs) {
  std::vector<Package> all;
  for (const ZygoteSpec& spec : plan.nodes) {
    all.insert(all.end(), spec.packages.begin(), spec.packages.end());
  }
  const Universe universe(std::move(all));
  std::vector<PackageCost> known;
  for (std::size_t i = 0; i < universe.size(); ++i) {
    const auto found = packages.find(universe.package(i));
    if (found == packages.end()) {
      known.emplace_back();
    } else {
      known.push_back({found->second.ms, found->second.mb, found->second.vmas});
    }
  }
  const CostModel model(known, costs);

  std::map<std::string, std::size_t> place;
  ZygoteTree tree;
  for (const ZygoteSpec& spec : plan.nodes) {
    const auto parent = place.find(spec.parent);
    place.emplace(spec.id, tree.size());
    tree.push_back({universe.set_of(spec.packages), parent == place.end() ? 0 : parent->second, 0});
  }
  const BestMatch match(tree, model);
  std::vector<double> rates(tree.size());
  double total = 0;
  for (const Demand& function : demand) {
    rates[match.find(universe.set_of(function.packages))] += function.rate;
    total += function.rate;
  }

  std::vector<NodeView> out;
  for (std::size_t i = 0; i < tree.size(); ++i) {
    NodeView view;
    view.id = plan.nodes[i].id;
    view.parent = plan.nodes[i].parent;
    view.share = total > 0 ? rates[i] / total : 0;
    if (i > 0) {
      const PackageSet added = added_packages(tree, i);
      view.added = universe.packages_of(added);
      view.predicted_bytes = static_cast<std::uint64_t>(
          std::max(0.0, costs.node_mb + model.memory_mb(added)) * (1 << 20));
      view.saved_ms_per_call = match.saved_ms(i);
      view.saved_ms_per_s = rates[i] * view.saved_ms_per_call;
    }
    out.push_back(std::move(view));
  }
  return out;
}

}  // namespace sock::pkgcache
