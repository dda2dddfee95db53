#include "manager/calls/zygote_index.h"

#include <algorithm>
#include <utility>

namespace sock::manager {

namespace {

std::vector<pkgcache::Package> packages_of(const std::vector<std::shared_ptr<ZygoteNode>>& nodes) {
  std::vector<pkgcache::Package> all;
  for (const auto& node : nodes) {
    all.insert(all.end(), node->spec.packages.begin(), node->spec.packages.end());
  }
  return all;
}

/// The bare one first, or null in its place.
std::vector<std::shared_ptr<ZygoteNode>> root_first(
    const std::vector<std::shared_ptr<ZygoteNode>>& nodes) {
  std::vector<std::shared_ptr<ZygoteNode>> out{nullptr};
  for (const auto& node : nodes) {
    if (node->spec.packages.empty()) {
      out.front() = node;
    } else {
      out.push_back(node);
    }
  }
  return out;
}

}  // namespace

ZygoteIndex::ZygoteIndex(std::vector<std::shared_ptr<ZygoteNode>> nodes, const SetWorth& worth)
    : nodes_(std::move(nodes)), universe_(packages_of(nodes_)), by_rank_(root_first(nodes_)) {
  std::vector<pkgcache::PackageSet> sets{universe_.empty_set()};
  std::vector<double> saved{0};
  for (std::size_t i = 1; i < by_rank_.size(); ++i) {
    const auto& packages = by_rank_[i]->spec.packages;
    sets.push_back(universe_.set_of(packages));
    const auto count = static_cast<double>(packages.size());
    saved.push_back(worth ? worth(packages) : count);
  }
  match_ = pkgcache::BestMatch(std::move(sets), std::move(saved));
}

std::optional<ZygoteChoice> ZygoteIndex::choose(std::span<const pkgcache::Package> wanted) const {
  const std::size_t best = match_.find(universe_.set_of(wanted));
  const auto& node = by_rank_[best];
  if (!node) return std::nullopt;
  return ZygoteChoice{node, node->spec.packages.size() == wanted.size()};
}

}  // namespace sock::manager
