#include "manager/planning/gardener.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "manager/planning/memory_pressure.h"

namespace sock::manager {

namespace asio = boost::asio;
using pkgcache::Decision;
using pkgcache::TreeController;

namespace {

/// Sizes of unsealed zygotes are read from smaps, which takes milliseconds each.
constexpr unsigned kTicksPerLook = 30;
constexpr unsigned kTicksPerPressure = 5;
/// A budget that changes less is not worth a decision.
constexpr std::uint64_t kBudgetStep = 16ULL << 20;

const pkgcache::MeasuredPackages kNothing;

pkgcache::CostParameters costs_of(const Config& config) {
  pkgcache::CostParameters costs;
  costs.clone = config.zygotes.seal ? pkgcache::kSealedClone : pkgcache::kUnsealedClone;
  // With its parked clones, as measured (docs/pkgcache.md, "Executed").
  costs.node_mb = 3;
  return costs;
}

/// What a zygote has beyond its parent. Of a sealed one the image is just that; the proportional
/// size of another leaves out what its clones bear of it.
std::uint64_t own_bytes(const zygote::Zygote& zygote) {
  if (zygote.sealing().sealed) return zygote.sealing().bytes;
  return zygote.memory_bytes().value_or(0);
}

}  // namespace

Gardener::Gardener(const Config& config, Parts parts)
    : config_(config), parts_(parts), budget_(config.zygotes.memory_bytes) {
  if (config_.zygotes.plan == Config::Zygotes::Plan::kMeasured) make_controller();
}

void Gardener::make_controller() {
  pkgcache::TreeOptions options;
  options.budget_bytes = budget_;
  options.max_nodes = config_.zygotes.max;
  options.costs = costs_of(config_);
  options.parked.budget_bytes = config_.parked.memory_bytes;
  options.parked.most = config_.parked.max;
  controller_ = std::make_unique<TreeController>(std::move(options));
}

void Gardener::adopt(std::vector<std::shared_ptr<const Function>> functions) {
  functions_ = std::move(functions);
  if (adapts()) {
    std::map<std::string, Deployed> deployed;
    for (const auto& function : functions_) {
      const auto known = deployed_.find(function->spec.name);
      const bool same =
          known != deployed_.end() && known->second.generation == function->generation;
      Deployed& entry = deployed[function->spec.name];
      entry.generation = function->generation;
      entry.set = same ? known->second.set : controller_->deploy(function->spec.packages);
    }
    for (const auto& [name, old] : deployed_) {
      const auto now = deployed.find(name);
      const bool same = now != deployed.end() && now->second.generation == old.generation;
      if (!same) controller_->remove(old.set);
    }
    deployed_ = std::move(deployed);
    plant(controller_->current());
  } else {
    plant_configured();
  }
  parts_.functions.adopt(functions_);
}

void Gardener::packages_changed() {
  parts_.zygotes.worth_changed();
  if (!adapts()) return plant_configured();
  measured_ = parts_.packages.measured();
  auto sets = parts_.packages.pinned_sets();
  if (auto decision = controller_->set_packages(measured_)) apply(std::move(*decision));
  if (sets == pinned_) return;
  pinned_ = sets;
  controller_->set_pinned(std::move(sets));
}

void Gardener::plant_configured() {
  const pkgcache::ExactSetPlanner planner(parts_.packages.pinned_sets(), config_.zygotes.max);
  plant(planner.plan({}));
}

void Gardener::apply(Decision decision) {
  if (!decision.create.empty() || !decision.retire.empty()) {
    spdlog::info("zygotes by {}: {} to make in {:.0f} ms, {} to retire, saves {:.1f} ms/s",
                 to_string(decision.cause), decision.create.size(), decision.creation_ms,
                 decision.retire.size(), decision.saved_ms_per_s);
  }
  parked_ = std::move(decision.parked);
  plant(decision.plan);
}

void Gardener::plant(const pkgcache::ZygotePlan& plan) {
  plan_ = plan;
  std::vector<pkgcache::Package> held;
  for (const auto& node : plan_.nodes) {
    held.insert(held.end(), node.packages.begin(), node.packages.end());
  }
  parts_.packages.hold(held);
  auto fewest = fewest_parked(plan_);
  parts_.zygotes.adopt(plan_, std::move(fewest));
}

FewestParked Gardener::fewest_parked(const pkgcache::ZygotePlan& plan) {
  std::vector<std::shared_ptr<ZygoteNode>> nodes;
  FewestParked fewest;
  for (const auto& node : plan.nodes) {
    nodes.push_back(std::make_shared<ZygoteNode>());
    nodes.back()->spec = node;
    const auto decided = parked_.find(node.id);
    const bool planned = adapts() && decided != parked_.end();
    fewest[{node.id, Network::kNone}] = planned ? decided->second : config_.parked.min;
  }
  // As calls will choose among them.
  const ZygoteIndex index(std::move(nodes), [this](std::span<const pkgcache::Package> set) {
    return parts_.packages.worth(set);
  });
  bool nat_wanted = false;
  for (const auto& function : functions_) {
    const FunctionSpec& spec = function->spec;
    const auto best = index.choose(spec.packages);
    if (!best || !parts_.slots.offers(spec.network)) continue;
    nat_wanted = nat_wanted || spec.network == Network::kNat;
    auto& least = fewest[{best->node->spec.id, spec.network}];
    least = std::max(least, config_.parked.min);
    // Where a function has a zygote of its own, that one keeps them ready.
    if (parts_.functions.refused(spec.name)) least += spec.keep_ready;
  }
  parts_.slots.set_stock(Network::kNat, nat_wanted ? config_.parked.shells : 0);
  return fewest;
}

void Gardener::note_call(const CallRecord& record) {
  if (!adapts() || record.start == Start::kNone) return;
  const auto found = deployed_.find(record.function);
  if (found == deployed_.end() || found->second.generation != record.generation) return;
  controller_->note_call(found->second.set, record.zygote_id, Clock::now());
}

void Gardener::tick() {
  if (stopping_) return;
  ++ticks_;
  if (!adapts()) {
    // keep_ready follows functions that get, or lose, zygotes of their own.
    if (ticks_ % kTicksPerLook == 0) plant(pkgcache::ZygotePlan(plan_));
    return;
  }
  if (ticks_ % kTicksPerLook == 0) note_nodes();
  if (ticks_ % kTicksPerPressure == 0) mind_pressure();
  const auto now = Clock::now();
  if (auto decision = controller_->react(now)) apply(std::move(*decision));
  if (planning_ || !controller_->due(now)) return;
  planning_ = true;
  parts_.background.run(replan());
}

asio::awaitable<void> Gardener::replan() {
  const auto snapshot = controller_->take(Clock::now());
  auto work = [snapshot] { return TreeController::plan(*snapshot); };
  auto proposal = co_await parts_.worker.run(work);
  planning_ = false;
  if (stopping_) co_return;
  auto decision = controller_->decide(std::move(proposal));
  if (decision) apply(std::move(*decision));
}

void Gardener::note_nodes() {
  for (const auto& [id, node] : parts_.zygotes.nodes()) {
    const auto zygote = node->zygote();
    if (!zygote) continue;
    const double creation_ms = static_cast<double>(zygote->import_us()) / 1000;
    controller_->note_node(id, own_bytes(*zygote), creation_ms);
    controller_->note_parked(id, node->stocks->clone_bytes());
  }
}

void Gardener::mind_pressure() {
  const HostMemory host = read_host_memory();
  if (host.total == 0) return;
  std::uint64_t used = 0;
  const auto& packages = measured_ ? *measured_ : kNothing;
  for (const auto& node : pkgcache::view_tree(plan_, {}, packages, costs_of(config_))) {
    used += node.predicted_bytes;
  }
  const auto budget = zygote_budget(config_.zygotes.memory_bytes, used, host.available, host.total);
  const auto change = budget > budget_ ? budget - budget_ : budget_ - budget;
  const bool back = budget == config_.zygotes.memory_bytes && budget != budget_;
  if (change < kBudgetStep && !back) return;
  budget_ = budget;
  spdlog::info("zygotes may take {} MiB", budget >> 20);
  auto decision = controller_->set_budget(budget, Clock::now());
  if (decision) apply(std::move(*decision));
}

std::vector<pkgcache::NodeView> Gardener::view() const {
  const auto& packages = measured_ ? *measured_ : kNothing;
  std::vector<pkgcache::Demand> demand;
  if (adapts()) demand = controller_->demand(Clock::now());
  return pkgcache::view_tree(plan_, demand, packages, costs_of(config_));
}

}  // namespace sock::manager
