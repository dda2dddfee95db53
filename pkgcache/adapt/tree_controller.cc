#include "pkgcache/adapt/tree_controller.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "pkgcache/adapt/decision.h"
#include "pkgcache/adapt/tree_fit.h"
#include "pkgcache/adapt/tree_proposal.h"

namespace sock::pkgcache {

namespace {

constexpr double kMb = 1 << 20;
/// What a parked clone takes before any of a node was measured.
constexpr std::uint64_t kCloneBytes = 2U << 20U;
/// Demand of sets that nobody has deployed ends below so many calls.
constexpr double kFaded = 0.1;
constexpr auto kLookEvery = std::chrono::seconds(1);
/// Sets that get a zygote at a time without a plan.
constexpr std::size_t kMostOpened = 8;
/// How far predictions are corrected by what was measured.
constexpr double kLeastCorrection = 0.5;
constexpr double kMostCorrection = 4;

}  // namespace

std::string_view to_string(Cause cause) {
  switch (cause) {
    case Cause::kPlan:
      return "plan";
    case Cause::kRegret:
      return "regret";
    case Cause::kPressure:
      return "pressure";
    case Cause::kBarred:
      return "barred";
    case Cause::kParked:
      return "parked";
  }
  return "";
}

TreeController::TreeController(TreeOptions options)
    : options_(std::move(options)),
      sketch_(options_.demand),
      packages_(std::make_shared<const MeasuredPackages>()) {
  current_.nodes.push_back({zygote_id({}), "", {}});
  facts_.try_emplace(current_.nodes.front().id);
}

TreeController::~TreeController() = default;

SetId TreeController::deploy(std::vector<Package> packages) {
  std::ranges::sort(packages);
  const auto [known, added] = ids_.emplace(std::move(packages), next_id_);
  if (added) {
    ++next_id_;
    wanted_ = true;
    sets_[known->second].packages = std::make_shared<const std::vector<Package>>(known->first);
  }
  ++sets_[known->second].functions;
  return known->second;
}

void TreeController::remove(SetId set) {
  const auto found = sets_.find(set);
  if (found == sets_.end() || found->second.functions == 0) return;
  if (--found->second.functions > 0) return;
  wanted_ = true;
  if (sketch_.weight(set) > 0) return;
  ids_.erase(*found->second.packages);
  sets_.erase(found);
}

void TreeController::note_call(SetId set, std::string_view node, Clock::time_point now) {
  const auto found = sets_.find(set);
  if (found == sets_.end()) return;
  const auto noted = sketch_.note(set, now);
  wanted_ = wanted_ || noted.moved;
  if (const auto served = facts_.find(node); served != facts_.end()) ++served->second.calls;
  if (const auto d = found->second.demanded; d && regretting_) {
    const double lost = live_->savable_ms(*d) - live_->saved_ms(*d);
    double& regret = regret_ms_[*d];
    const double due = options_.regret * options_.margin * (options_.start_ms + lost);
    if (lost > 0 && regret < due && regret + lost >= due) hot_.push_back(*d);
    regret += lost;
  }
  if (!noted.forgotten) return;
  const auto forgotten = sets_.find(*noted.forgotten);
  if (forgotten == sets_.end() || forgotten->second.functions > 0) return;
  ids_.erase(*forgotten->second.packages);
  sets_.erase(forgotten);
}

std::optional<Decision> TreeController::set_packages(
    std::shared_ptr<const MeasuredPackages> packages) {
  packages_ = packages ? std::move(packages) : std::make_shared<const MeasuredPackages>();
  wanted_ = true;
  ++basis_;
  if (!live_) return std::nullopt;
  const Universe& universe = live_->world().universe;
  PackageSet barred = universe.empty_set();
  for (std::size_t i = 0; i < universe.size(); ++i) {
    if (!packages_->contains(universe.package(i))) barred.insert(i);
  }
  if (barred.empty()) return std::nullopt;
  // What is known to be missed may hold some of them.
  hot_.clear();
  regretting_ = false;
  TreeFit fit = *live_;
  fit.drop_holding(barred);
  return adopt(std::move(fit), Cause::kBarred);
}

void TreeController::set_pinned(std::vector<std::vector<Package>> sets) {
  options_.pinned = std::move(sets);
  wanted_ = true;
  ++basis_;
}

std::optional<Decision> TreeController::set_budget(std::uint64_t bytes, Clock::time_point now) {
  wanted_ = wanted_ || bytes > options_.budget_bytes;
  options_.budget_bytes = bytes;
  ++basis_;
  if (!live_) return std::nullopt;
  refresh_rates(now);
  TreeFit fit = *live_;
  fit.trim(limits());
  return adopt(std::move(fit), Cause::kPressure);
}

void TreeController::note_node(std::string_view node, std::uint64_t memory_bytes,
                               double creation_ms) {
  const auto found = facts_.find(node);
  if (found == facts_.end()) return;
  found->second.memory_mb = static_cast<double>(memory_bytes) / kMb;
  found->second.creation_ms = std::isfinite(creation_ms) ? std::max(0.0, creation_ms) : 0;
}

void TreeController::note_parked(std::string_view node, std::uint64_t clone_bytes) {
  const auto found = facts_.find(node);
  if (found != facts_.end()) found->second.clone_bytes = clone_bytes;
}

std::optional<Decision> TreeController::react(Clock::time_point now) {
  if (hot_.empty() || !live_) return std::nullopt;
  refresh_rates(now);
  const FitLimits limits = this->limits();
  TreeFit fit = *live_;
  bool opened = false;
  for (std::size_t i = 0; i < kMostOpened && !hot_.empty(); ++i) {
    const std::size_t d = hot_.front();
    hot_.erase(hot_.begin());
    regret_ms_[d] = 0;
    TreeFit with = fit;
    // Its creation is what has been lost already.
    with.add({fit.world().demand[d].packages, true, false});
    with.trim(limits);
    if (with.saved_ms(d) > fit.saved_ms(d) && with.saved_ms_per_s() > fit.saved_ms_per_s()) {
      fit = std::move(with);
      opened = true;
    }
  }
  if (!opened) return std::nullopt;
  return adopt(std::move(fit), Cause::kRegret);
}

bool TreeController::due(Clock::time_point now) {
  if (!planned_at_) return wanted_;
  const auto since = now - *planned_at_;
  if (since < options_.least_interval) return false;
  if (wanted_ || since >= options_.interval) return true;
  if (now - looked_at_ < kLookEvery) return false;
  looked_at_ = now;
  wanted_ = distance() > options_.moved;
  return wanted_;
}

std::shared_ptr<const TreeController::Snapshot> TreeController::take(Clock::time_point now) {
  forget_faded();
  auto snapshot = std::make_shared<Snapshot>();
  const double total = total_weight();
  for (auto& [id, set] : sets_) {
    set.planned = total > 0 ? weight(id, set) / total : 0;
    snapshot->wanted.push_back({id, set.packages, rate(id, set, total, now)});
  }
  std::ranges::sort(snapshot->wanted, {}, &WantedSet::id);
  for (std::size_t i = 1; i < current_.nodes.size(); ++i) {
    snapshot->live.push_back(current_.nodes[i].packages);
  }
  snapshot->pinned = options_.pinned;
  snapshot->packages = packages_;
  snapshot->costs = options_.costs;
  snapshot->limits = limits();
  snapshot->unseen = options_.unseen;
  snapshot->basis = basis_;
  planned_at_ = looked_at_ = now;
  wanted_ = false;
  return snapshot;
}

std::optional<Decision> TreeController::decide(std::shared_ptr<Proposal> proposal) {
  if (proposal->basis != basis_) {
    wanted_ = true;
    return std::nullopt;
  }
  return adopt(std::move(proposal->fit), Cause::kPlan);
}

std::vector<Demand> TreeController::demand(Clock::time_point now) const {
  std::vector<Demand> out;
  const double total = total_weight();
  for (const auto& [id, set] : sets_) out.push_back({*set.packages, rate(id, set, total, now)});
  return out;
}

std::uint64_t TreeController::calls_of(std::string_view node) const {
  const auto found = facts_.find(node);
  return found == facts_.end() ? 0 : found->second.calls;
}

double TreeController::weight(SetId id, const Set& set) const {
  return sketch_.weight(id) + options_.prior_calls * static_cast<double>(set.functions);
}

double TreeController::total_weight() const {
  double total = 0;
  for (const auto& [id, set] : sets_) total += weight(id, set);
  return total;
}

double TreeController::distance() const {
  const double total = total_weight();
  if (total <= 0) return 0;
  double sum = 0;
  for (const auto& [id, set] : sets_) sum += std::abs(weight(id, set) / total - set.planned);
  return sum / 2;
}

double TreeController::rate(SetId id, const Set& set, double total, Clock::time_point now) const {
  const double by_calls = total > 0 ? sketch_.rate(now) * weight(id, set) / total : 0;
  if (set.functions == 0 || sketch_.weight(id) > 0) return by_calls;
  return std::max(by_calls, options_.idle_rate / static_cast<double>(sets_.size()));
}

void TreeController::refresh_rates(Clock::time_point now) {
  std::vector<double> rates(live_->world().demand.size());
  const double total = total_weight();
  for (const auto& [id, set] : sets_) {
    if (set.demanded) rates[*set.demanded] += rate(id, set, total, now);
  }
  live_->set_rates(std::move(rates));
}

void TreeController::forget_faded() {
  for (auto at = sets_.begin(); at != sets_.end();) {
    if (at->second.functions > 0 || sketch_.weight(at->first) >= kFaded) {
      ++at;
      continue;
    }
    sketch_.forget(at->first);
    ids_.erase(*at->second.packages);
    at = sets_.erase(at);
  }
}

double TreeController::measured_by_predicted(double NodeFacts::*measured,
                                             double NodeFacts::*predicted) const {
  double real = 0;
  double expected = 0;
  for (const auto& [id, facts] : facts_) {
    if (facts.*measured <= 0 || facts.*predicted <= 0) continue;
    real += facts.*measured;
    expected += facts.*predicted;
  }
  if (expected <= 0) return 1;
  // In steps, so that a tree does not change for noise.
  return std::clamp(std::ceil(real / expected * 10 - 0.5) / 10, kLeastCorrection, kMostCorrection);
}

FitLimits TreeController::limits() const {
  FitLimits limits;
  limits.budget_mb = static_cast<double>(options_.budget_bytes) / kMb /
                     measured_by_predicted(&NodeFacts::memory_mb, &NodeFacts::predicted_mb);
  limits.max_nodes = options_.max_nodes > 0 ? options_.max_nodes - 1 : 0;
  limits.max_depth = options_.max_depth;
  limits.horizon_s = options_.horizon.count();
  limits.margin =
      options_.margin * measured_by_predicted(&NodeFacts::creation_ms, &NodeFacts::predicted_ms);
  limits.start_ms = options_.start_ms;
  return limits;
}

void TreeController::go_live(TreeFit fit) {
  fit.all_alive();
  const bool same_world = live_ && &live_->world() == &fit.world();
  live_ = std::make_unique<TreeFit>(std::move(fit));
  if (same_world) return;
  regretting_ = true;
  regret_ms_.assign(live_->world().demand.size(), 0);
  hot_.clear();
  for (auto& [id, set] : sets_) {
    const auto found = live_->world().index.find(id);
    set.demanded.reset();
    if (found != live_->world().index.end()) set.demanded = found->second;
  }
}

std::optional<Decision> TreeController::adopt(TreeFit fit, Cause cause) {
  Decision decision;
  decision.cause = cause;
  decision.saved_ms_per_s = fit.saved_ms_per_s();
  decision.plan = to_plan(fit, options_.max_depth);
  list_changes(current_, decision.plan, decision);
  decision.parked = to_parked(fit, decision.plan, options_.parked, [this](const std::string& id) {
    const auto found = facts_.find(id);
    const std::uint64_t known = found == facts_.end() ? 0 : found->second.clone_bytes;
    return known > 0 ? known : kCloneBytes;
  });
  const bool same = decision.create.empty() && decision.retire.empty();
  if (!same) {
    ++basis_;
    const auto nodes = predict_nodes(fit.world(), decision.plan);
    for (const std::string& id : decision.retire) facts_.erase(id);
    for (const std::string& id : decision.create) {
      const NodePrediction& node = nodes.at(id);
      NodeFacts& facts = facts_[id];
      facts.predicted_mb = node.mb;
      facts.predicted_ms = options_.start_ms + node.import_ms;
      decision.creation_ms += facts.predicted_ms;
    }
  }
  go_live(std::move(fit));
  if (same && decision.parked == parked_) return std::nullopt;
  if (same) decision.cause = Cause::kParked;
  current_ = decision.plan;
  parked_ = decision.parked;
  return decision;
}

}  // namespace sock::pkgcache
