#include "pkgcache/adapt/tree_fit.h"

#include <algorithm>
#include <utility>

namespace sock::pkgcache {

namespace {

/// Removes `gone` from a list of indexes and closes the gap in the numbers.
void renumber(std::vector<std::size_t>& list, std::size_t gone) {
  std::erase(list, gone);
  for (std::size_t& i : list) {
    if (i > gone) --i;
  }
}

}  // namespace

TreeFit::TreeFit(std::shared_ptr<const FitWorld> world) : world_(std::move(world)) {
  servers_.resize(world_->demand.size());
  for (const DemandedSet& set : world_->demand) rates_.push_back(set.rate);
}

void TreeFit::add(FitNode node) {
  if (node.packages.empty()) return;
  const auto same = std::ranges::find_if(
      nodes_, [&](const Node& other) { return other.node.packages == node.packages; });
  if (same != nodes_.end()) {
    same->node.alive = same->node.alive || node.alive;
    same->node.pinned = same->node.pinned || node.pinned;
    return;
  }
  const CostModel& costs = world_->costs;
  const std::size_t at = nodes_.size();
  const PackageSet packages = node.packages;
  nodes_.push_back({std::move(node), costs.saved_ms(packages), costs.memory_mb(packages),
                    costs.import_ms(packages)});
  below_.emplace_back();
  const auto file = [this](std::vector<std::size_t>& list, std::size_t i, double Node::*key) {
    const auto place = std::ranges::upper_bound(list, nodes_[i].*key, std::ranges::greater{},
                                                [&](std::size_t j) { return nodes_[j].*key; });
    list.insert(place, i);
  };
  for (std::size_t i = 0; i < at; ++i) {
    if (nodes_[i].node.packages.is_subset_of(packages)) {
      file(below_[at], i, &Node::mb);
    } else if (packages.is_subset_of(nodes_[i].node.packages)) {
      file(below_[i], at, &Node::mb);
    }
  }
  if (nodes_[at].saved_ms <= 0) return;
  for (std::size_t d = 0; d < servers_.size(); ++d) {
    if (packages.is_subset_of(world_->demand[d].packages)) {
      file(servers_[d], at, &Node::saved_ms);
    }
  }
}

void TreeFit::drop(std::size_t node) {
  nodes_.erase(nodes_.begin() + static_cast<std::ptrdiff_t>(node));
  below_.erase(below_.begin() + static_cast<std::ptrdiff_t>(node));
  for (auto& list : servers_) renumber(list, node);
  for (auto& list : below_) renumber(list, node);
}

std::optional<std::size_t> TreeFit::parent(std::size_t node) const {
  if (below_[node].empty()) return std::nullopt;
  return below_[node].front();
}

std::vector<TreeFit::Marginal> TreeFit::marginals(double start_ms) const {
  std::vector<Marginal> out(nodes_.size());
  for (std::size_t d = 0; d < servers_.size(); ++d) {
    const auto& servers = servers_[d];
    if (servers.empty()) continue;
    const double next = servers.size() > 1 ? nodes_[servers[1]].saved_ms : 0;
    out[servers[0]].loss += rates_[d] * (nodes_[servers[0]].saved_ms - next);
  }
  const double node_mb = world_->costs.parameters().node_mb;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    const auto& below = below_[i];
    const double parent_mb = below.empty() ? 0 : nodes_[below[0]].mb;
    const double parent_ms = below.empty() ? 0 : nodes_[below[0]].ms;
    out[i].freed_mb += node_mb + node.mb - parent_mb;
    if (!node.node.alive) out[i].creation_ms += start_ms + node.ms - parent_ms;
    if (below.empty()) continue;
    // Without its parent it would stand on the next one.
    const double next_mb = below.size() > 1 ? nodes_[below[1]].mb : 0;
    const double next_ms = below.size() > 1 ? nodes_[below[1]].ms : 0;
    out[below[0]].freed_mb -= parent_mb - next_mb;
    if (!node.node.alive) out[below[0]].creation_ms -= parent_ms - next_ms;
  }
  return out;
}

void TreeFit::trim(const FitLimits& limits) {
  constexpr double kLeastMb = 1e-6;
  for (;;) {
    const bool over = !fits(limits);
    const auto without = marginals(limits.start_ms);
    std::optional<std::size_t> victim;
    double least = 0;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (nodes_[i].node.pinned) continue;
      const double net =
          limits.horizon_s * without[i].loss - limits.margin * without[i].creation_ms;
      // One whose children share it well takes less than nothing; it goes for its own sake only.
      const bool useless = net <= 0 && (!nodes_[i].node.alive || without[i].freed_mb > 0);
      const bool relieves = over && (without[i].freed_mb > 0 || nodes_.size() > limits.max_nodes);
      if (!useless && !relieves) continue;
      const double density = net / std::max(without[i].freed_mb, kLeastMb);
      if (!victim || density < least) {
        victim = i;
        least = density;
      }
    }
    if (!victim) return;
    drop(*victim);
  }
}

void TreeFit::drop_holding(const PackageSet& barred) {
  for (std::size_t i = nodes_.size(); i-- > 0;) {
    PackageSet common = nodes_[i].node.packages;
    common &= barred;
    if (!common.empty()) drop(i);
  }
}

double TreeFit::saved_ms_per_s() const {
  double sum = 0;
  for (std::size_t d = 0; d < servers_.size(); ++d) sum += rates_[d] * saved_ms(d);
  return sum;
}

std::vector<double> TreeFit::saved_by_node() const {
  std::vector<double> out(nodes_.size());
  for (std::size_t d = 0; d < servers_.size(); ++d) {
    if (const auto node = best(d)) out[*node] += rates_[d] * nodes_[*node].saved_ms;
  }
  return out;
}

double TreeFit::creation_ms(double start_ms) const {
  double sum = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].node.alive) continue;
    const auto on = parent(i);
    sum += start_ms + nodes_[i].ms - (on ? nodes_[*on].ms : 0);
  }
  return sum;
}

double TreeFit::worth(const FitLimits& limits) const {
  return limits.horizon_s * saved_ms_per_s() - limits.margin * creation_ms(limits.start_ms);
}

double TreeFit::mb() const {
  double sum = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const auto on = parent(i);
    sum += world_->costs.parameters().node_mb + nodes_[i].mb - (on ? nodes_[*on].mb : 0);
  }
  return sum;
}

bool TreeFit::fits(const FitLimits& limits) const {
  if (nodes_.size() > limits.max_nodes || mb() > limits.budget_mb) return false;
  // With the bound on depth some stand on lighter parents.
  return tree_mb(tree(limits.max_depth), world_->costs) <= limits.budget_mb;
}

std::optional<std::size_t> TreeFit::best(std::size_t demanded) const {
  if (servers_[demanded].empty()) return std::nullopt;
  return servers_[demanded].front();
}

double TreeFit::saved_ms(std::size_t demanded) const {
  const auto node = best(demanded);
  return node ? nodes_[*node].saved_ms : 0;
}

double TreeFit::savable_ms(std::size_t demanded) const {
  return std::max(0.0, world_->costs.saved_ms(world_->demand[demanded].packages));
}

ZygoteTree TreeFit::tree(std::size_t max_depth) const {
  std::vector<PackageSet> sets;
  for (const Node& node : nodes_) sets.push_back(node.node.packages);
  return arrange(std::move(sets), world_->universe.empty_set(), world_->costs, max_depth);
}

}  // namespace sock::pkgcache
