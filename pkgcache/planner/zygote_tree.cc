#include "pkgcache/planner/zygote_tree.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

ZygoteTree arrange(std::vector<PackageSet> sets, const PackageSet& empty, const CostModel& costs,
                   std::size_t max_depth) {
  // By size, so that every subset of a set comes before it.
  std::ranges::sort(sets, [](const PackageSet& a, const PackageSet& b) {
    const std::size_t left = a.count();
    const std::size_t right = b.count();
    return left != right ? left < right : a < b;
  });
  ZygoteTree tree = {{empty, 0, 0}};
  std::vector<double> memory = {0};
  for (PackageSet& set : sets) {
    std::size_t parent = 0;
    for (std::size_t i = 1; i < tree.size(); ++i) {
      if (tree[i].depth < max_depth && memory[i] > memory[parent] &&
          tree[i].packages.is_subset_of(set)) {
        parent = i;
      }
    }
    memory.push_back(costs.memory_mb(set));
    tree.push_back({std::move(set), parent, tree[parent].depth + 1});
  }
  return tree;
}

double tree_mb(const ZygoteTree& tree, const CostModel& costs) {
  double mb = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    mb += costs.parameters().node_mb + costs.memory_mb(added_packages(tree, i));
  }
  return mb;
}

double creation_ms(const ZygoteTree& tree, const CostModel& costs) {
  double ms = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) ms += costs.import_ms(added_packages(tree, i));
  return ms;
}

PackageSet added_packages(const ZygoteTree& tree, std::size_t node) {
  PackageSet added = tree[node].packages;
  added -= tree[tree[node].parent].packages;
  return added;
}

}  // namespace sock::pkgcache
