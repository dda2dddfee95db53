#include "pkgcache/planner/selection.h"

#include <algorithm>
#include <limits>

namespace sock::pkgcache {

namespace {
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
}  // namespace

Selection::Selection(std::span<const DemandedSet> demand, std::span<const Candidate> candidates,
                     const CostModel& costs)
    : demand_(demand),
      candidates_(candidates),
      node_mb_(costs.parameters().node_mb),
      servers_(demand.size()),
      chosen_servers_(demand.size()),
      best_(demand.size(), 0),
      chosen_(candidates.size(), false),
      relations_(candidates.size()),
      subsets_(candidates.size()),
      supersets_(candidates.size()),
      gain_(candidates.size(), 0),
      gain_as_of_(candidates.size(), 0),
      cost_(candidates.size(), 0),
      cost_known_(candidates.size(), false) {
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    for (const std::size_t function : candidates[c].serves)
      servers_[function].push_back(static_cast<std::uint32_t>(c));
  }
}

const Selection::Relations& Selection::relations(std::size_t candidate) {
  Relations& found = relations_[candidate];
  if (found.known) return found;
  const PackageSet& set = candidates_[candidate].packages;
  for (std::size_t other = 0; other < candidates_.size(); ++other) {
    if (other == candidate) continue;
    if (candidates_[other].packages.is_subset_of(set)) found.below.push_back(other);
    if (set.is_subset_of(candidates_[other].packages)) found.above.push_back(other);
  }
  work_ += candidates_.size();
  found.known = true;
  return found;
}

double Selection::parent_mb(std::size_t candidate, std::size_t except) const {
  double mb = 0;
  for (const std::size_t subset : subsets_[candidate]) {
    if (subset != except) mb = std::max(mb, candidates_[subset].mb);
  }
  return mb;
}

void Selection::touch(const Relations& related) {
  // What a candidate costs depends on its own parent and on those of the supersets it would serve.
  for (const std::size_t c : related.above) {
    cost_known_[c] = false;
    if (!chosen_[c]) continue;
    for (const std::size_t between : relations(c).below) cost_known_[between] = false;
  }
  for (const std::size_t c : related.below) cost_known_[c] = false;
  work_ += related.above.size() + related.below.size();
}

void Selection::add(std::size_t candidate) {
  mb_ += cost_mb(candidate);
  chosen_[candidate] = true;
  order_.push_back(candidate);
  const Relations& related = relations(candidate);
  for (const std::size_t c : related.above) subsets_[c].push_back(candidate);
  for (const std::size_t c : related.below) supersets_[c].push_back(candidate);
  touch(related);
  for (const std::size_t function : candidates_[candidate].serves) {
    chosen_servers_[function].push_back(candidate);
    if (candidates_[candidate].ms <= best_[function]) continue;
    saved_ += demand_[function].rate * (candidates_[candidate].ms - best_[function]);
    best_[function] = candidates_[candidate].ms;
  }
  work_ += candidates_[candidate].serves.size();
  ++additions_;
}

void Selection::remove(std::size_t candidate) {
  mb_ -= cost_mb(candidate);
  chosen_[candidate] = false;
  std::erase(order_, candidate);
  const Relations& related = relations(candidate);
  for (const std::size_t c : related.above) std::erase(subsets_[c], candidate);
  for (const std::size_t c : related.below) std::erase(supersets_[c], candidate);
  touch(related);
  for (const std::size_t function : candidates_[candidate].serves) {
    auto& serving = chosen_servers_[function];
    std::erase(serving, candidate);
    double best = 0;
    for (const std::size_t server : serving) best = std::max(best, candidates_[server].ms);
    if (best == best_[function]) continue;
    saved_ -= demand_[function].rate * (best_[function] - best);
    best_[function] = best;
    for (const std::size_t server : servers_[function]) gain_as_of_[server] = 0;
    work_ += servers_[function].size();
  }
  work_ += candidates_[candidate].serves.size() + related.above.size() + related.below.size();
}

double Selection::gain(std::size_t candidate) {
  if (gain_as_of_[candidate] == additions_) return gain_[candidate];
  double gain = 0;
  const double ms = candidates_[candidate].ms;
  for (const std::size_t function : candidates_[candidate].serves) {
    if (ms > best_[function]) gain += demand_[function].rate * (ms - best_[function]);
  }
  work_ += candidates_[candidate].serves.size();
  gain_as_of_[candidate] = additions_;
  return gain_[candidate] = gain;
}

double Selection::most_gain(std::size_t candidate) {
  return gain_as_of_[candidate] != 0 ? gain_[candidate] : gain(candidate);
}

double Selection::loss(std::size_t candidate) const {
  double loss = 0;
  for (const std::size_t function : candidates_[candidate].serves) {
    if (candidates_[candidate].ms < best_[function]) continue;
    double other = 0;
    for (const std::size_t server : chosen_servers_[function]) {
      if (server != candidate) other = std::max(other, candidates_[server].ms);
    }
    loss += demand_[function].rate * (best_[function] - other);
  }
  return loss;
}

double Selection::cost_mb(std::size_t candidate) {
  if (cost_known_[candidate]) return cost_[candidate];
  const double mb = candidates_[candidate].mb;
  double cost = node_mb_ + mb - parent_mb(candidate, kNone);
  for (const std::size_t superset : supersets_[candidate]) {
    cost -= std::max(0.0, mb - parent_mb(superset, candidate));
    work_ += subsets_[superset].size();
  }
  cost_known_[candidate] = true;
  return cost_[candidate] = cost;
}

}  // namespace sock::pkgcache
