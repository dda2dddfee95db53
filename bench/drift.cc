#include "bench/drift.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "pkgcache/baselines/sock.h"
#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/popularity.h"
#include "pkgcache/planner/random.h"
#include "pkgcache/planner/tree_planner.h"

namespace sock::bench {

using namespace sock::pkgcache;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::size_t kWindow = 1000;
constexpr std::size_t kSettling = 2000;

/// Calls of one phase, by the number of the demanded set.
struct Phase {
  std::vector<DemandedSet> truth;
  std::vector<std::size_t> calls;
};

std::vector<Phase> phases_of(const DriftData& data, const DriftOptions& options,
                             std::uint64_t seed) {
  std::vector<Phase> out;
  Random random(seed * 7919);
  for (std::size_t p = 0; p <= options.phases; ++p) {
    Phase phase;
    auto functions = data.functions;
    const std::uint64_t shuffle = options.change == Change::kShuffle ? p : 0;
    make_zipf(functions, {}, options.exponent, seed * 1000 + shuffle);
    phase.truth = demanded_sets(data.universe, functions);
    if (options.change == Change::kHotSpot && p > 0) {
      double total = 0;
      for (const DemandedSet& set : phase.truth) total += set.rate;
      phase.truth[random.below(phase.truth.size())].rate += total;
    }
    std::vector<double> until;
    double sum = 0;
    for (const DemandedSet& set : phase.truth) until.push_back(sum += set.rate);
    for (std::size_t c = 0; c < options.phase_calls; ++c) {
      const auto at = std::ranges::upper_bound(until, random.unit() * sum) - until.begin();
      phase.calls.push_back(std::min(static_cast<std::size_t>(at), until.size() - 1));
    }
    out.push_back(std::move(phase));
  }
  return out;
}

/// Who serves the calls.
class Server {
 public:
  Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  virtual ~Server() = default;

  virtual void change(const Phase& phase) { (void)phase; }
  /// What the call takes.
  virtual double serve(std::size_t set, const PackageSet& wanted, double seconds) = 0;
  /// What it has spent on zygotes so far; window_ms and settled_ms are unused.
  [[nodiscard]] virtual DriftResult spent() const { return {}; }
};

/// A tree that is there.
class Fixed : public Server {
 public:
  Fixed(const DriftData& data, const DriftOptions& options, Contender contender)
      : data_(data), options_(options), contender_(contender) {
    set({{data.universe.empty_set(), 0, 0}});
  }

  void change(const Phase& phase) override {
    if (contender_ == Contender::kNone || (contender_ == Contender::kFrozen && planned_)) return;
    planned_ = true;
    TreeLimits limits;
    limits.budget_mb = options_.budget_mb;
    if (contender_ == Contender::kRefitted) limits.unseen.share = 0;
    const Dependencies dependencies(data_.universe, phase.truth);
    set(plan_tree(data_.universe, phase.truth, dependencies, data_.costs, limits));
  }

  double serve(std::size_t, const PackageSet& wanted, double) override {
    return data_.costs.service_ms(wanted, tree_[match_->find(wanted)].packages);
  }

  [[nodiscard]] DriftResult spent() const override {
    DriftResult out;
    out.mb = tree_mb(tree_, data_.costs);
    return out;
  }

 private:
  void set(ZygoteTree tree) {
    tree_ = std::move(tree);
    match_ = std::make_unique<BestMatch>(tree_, data_.costs);
  }

  const DriftData& data_;
  const DriftOptions& options_;
  Contender contender_;
  bool planned_ = false;
  ZygoteTree tree_;
  std::unique_ptr<BestMatch> match_;
};

class Sock : public Server {
 public:
  Sock(const DriftData& data, const DriftOptions& options)
      : cache_(data.universe.empty_set(), data.costs, options.budget_mb),
        start_ms_(options.tree.start_ms) {}

  double serve(std::size_t, const PackageSet& wanted, double) override {
    const auto served = cache_.call(wanted);
    spent_.import_ms_per_call += served.creation_ms;
    if (served.held != wanted.count()) {
      spent_.creation_ms_per_call += served.creation_ms + start_ms_;
      spent_.adoptions += 1;
      spent_.created += 1;
    }
    return served.service_ms;
  }

  [[nodiscard]] DriftResult spent() const override {
    DriftResult out = spent_;
    out.mb = cache_.mb();
    return out;
  }

 private:
  SockCache cache_;
  double start_ms_;
  DriftResult spent_;
};

class Ours : public Server {
 public:
  Ours(const DriftData& data, const DriftOptions& options, const Phase& first)
      : data_(data), start_ms_(options.tree.start_ms), controller_(with_budget(options)) {
    (void)controller_.set_packages(data.measured);
    std::map<PackageSet, std::size_t> places;
    for (std::size_t i = 0; i < first.truth.size(); ++i) places[first.truth[i].packages] = i;
    ids_.resize(first.truth.size());
    for (const Function& function : data.functions) {
      ids_[places.at(data.universe.set_of(function.packages))] =
          controller_.deploy(function.packages);
    }
    nodes_["root"] = {data.universe.empty_set(), 0, 0, kNever};
  }

  double serve(std::size_t set, const PackageSet& wanted, double seconds) override {
    while (tick_ <= seconds) tick(tick_ += kTick);
    const auto* best = &*nodes_.begin();
    for (const auto& node : nodes_) {
      const Node& n = node.second;
      if (n.ready > seconds || n.retired <= seconds) continue;
      const bool better = n.saved_ms > best->second.saved_ms || best->second.ready > seconds ||
                          !best->second.packages.is_subset_of(wanted);
      if (better && n.packages.is_subset_of(wanted)) best = &node;
    }
    controller_.note_call(ids_[set], best->first, at(seconds));
    return data_.costs.service_ms(wanted, best->second.packages);
  }

  [[nodiscard]] DriftResult spent() const override {
    DriftResult out = spent_;
    const ZygotePlan& plan = controller_.current();
    ZygoteTree tree;
    std::map<std::string, std::size_t> place;
    for (const ZygoteSpec& spec : plan.nodes) {
      place[spec.id] = tree.size();
      tree.push_back({data_.universe.set_of(spec.packages),
                      spec.parent.empty() ? 0 : place.at(spec.parent), 0});
    }
    out.mb = tree_mb(tree, data_.costs);
    return out;
  }

 private:
  static constexpr double kTick = 1;
  static constexpr double kPlanning = 0.2;  ///< s, on a worker
  static constexpr double kNever = 1e300;

  struct Node {
    PackageSet packages;
    double saved_ms = 0;
    double ready = 0;
    double retired = kNever;
  };

  static TreeOptions with_budget(const DriftOptions& options) {
    TreeOptions tree = options.tree;
    tree.budget_bytes = static_cast<std::uint64_t>(options.budget_mb * (1 << 20));
    return tree;
  }
  static Clock::time_point at(double seconds) {
    return Clock::time_point(
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)));
  }

  void tick(double seconds) {
    if (proposal_) {
      if (const auto decision = controller_.decide(std::exchange(proposal_, nullptr))) {
        apply(*decision, seconds - kTick + kPlanning);
      }
    }
    if (const auto decision = controller_.react(at(seconds))) apply(*decision, seconds);
    if (controller_.due(at(seconds))) {
      proposal_ = TreeController::plan(*controller_.take(at(seconds)));
    }
  }

  void apply(const Decision& decision, double seconds) {
    if (decision.create.empty() && decision.retire.empty()) return;
    std::map<std::string, const ZygoteSpec*> specs;
    for (const ZygoteSpec& spec : decision.plan.nodes) specs[spec.id] = &spec;
    busy_ = std::max(busy_, seconds);
    for (const std::string& id : decision.create) {
      const ZygoteSpec& spec = *specs.at(id);
      const PackageSet set = data_.universe.set_of(spec.packages);
      PackageSet added = set;
      added -= data_.universe.set_of(specs.at(spec.parent)->packages);
      const double imports = data_.costs.import_ms(added);
      busy_ += (imports + start_ms_) / 1e3;
      nodes_[id] = {set, data_.costs.saved_ms(set), busy_, kNever};
      spent_.import_ms_per_call += imports;
      spent_.creation_ms_per_call += imports + start_ms_;
      spent_.created += 1;
    }
    for (const std::string& id : decision.retire) nodes_.at(id).retired = busy_;
    std::erase_if(nodes_, [&](const auto& node) { return node.second.retired < seconds; });
    spent_.adoptions += 1;
  }

  const DriftData& data_;
  double start_ms_;
  TreeController controller_;
  std::vector<SetId> ids_;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<TreeController::Proposal> proposal_;
  double tick_ = 0;
  double busy_ = 0;
  DriftResult spent_;
};

std::unique_ptr<Server> make(const DriftData& data, const DriftOptions& options,
                             Contender contender, const Phase& first) {
  if (contender == Contender::kSock) return std::make_unique<Sock>(data, options);
  if (contender == Contender::kOurs) return std::make_unique<Ours>(data, options, first);
  return std::make_unique<Fixed>(data, options, contender);
}

std::shared_ptr<const MeasuredPackages> measured_of(const Universe& universe,
                                                    const CostModel& costs) {
  MeasuredPackages out;
  for (std::size_t i = 0; i < universe.size(); ++i) {
    out[universe.package(i)] = {costs.package_ms(i), costs.package_mb(i), 0, {}};
  }
  return std::make_shared<const MeasuredPackages>(std::move(out));
}

}  // namespace

DriftData::DriftData(std::vector<Function> all, const CostTable& table,
                     const CostParameters& parameters)
    : functions(std::move(all)),
      universe(universe_of(functions)),
      costs(universe, table, parameters),
      measured(measured_of(universe, costs)) {}

DriftResult& DriftResult::operator+=(const DriftResult& other) {
  window_ms.resize(std::max(window_ms.size(), other.window_ms.size()));
  for (std::size_t i = 0; i < other.window_ms.size(); ++i) window_ms[i] += other.window_ms[i];
  settled_ms += other.settled_ms;
  import_ms_per_call += other.import_ms_per_call;
  creation_ms_per_call += other.creation_ms_per_call;
  adoptions += other.adoptions;
  created += other.created;
  mb += other.mb;
  return *this;
}

DriftResult& DriftResult::operator/=(double n) {
  for (double& ms : window_ms) ms /= n;
  settled_ms /= n;
  import_ms_per_call /= n;
  creation_ms_per_call /= n;
  adoptions /= n;
  created /= n;
  mb /= n;
  return *this;
}

DriftResult replay(const DriftData& data, const DriftOptions& options, Contender contender,
                   std::uint64_t seed) {
  const auto phases = phases_of(data, options, seed);
  const auto server = make(data, options, contender, phases.front());
  DriftResult out;
  DriftResult before;
  double seconds = 0;
  std::size_t settled = 0;
  for (std::size_t p = 0; p < phases.size(); ++p) {
    if (p == 1) before = server->spent();
    server->change(phases[p]);
    for (std::size_t c = 0; c < phases[p].calls.size(); ++c) {
      const std::size_t set = phases[p].calls[c];
      const double ms = server->serve(set, phases[p].truth[set].packages, seconds);
      seconds += 1 / options.rate;
      if (p == 0) continue;
      if (c / kWindow >= out.window_ms.size()) out.window_ms.resize(c / kWindow + 1);
      out.window_ms[c / kWindow] += ms;
      if (c >= kSettling) {
        out.settled_ms += ms;
        ++settled;
      }
    }
  }
  const auto counted = static_cast<double>(options.phases);
  for (std::size_t w = 0; w < out.window_ms.size(); ++w) {
    const std::size_t calls = std::min(kWindow, options.phase_calls - w * kWindow);
    out.window_ms[w] /= counted * static_cast<double>(calls);
  }
  if (settled > 0) out.settled_ms /= static_cast<double>(settled);
  const DriftResult after = server->spent();
  const double calls = counted * static_cast<double>(options.phase_calls);
  out.import_ms_per_call = (after.import_ms_per_call - before.import_ms_per_call) / calls;
  out.creation_ms_per_call = (after.creation_ms_per_call - before.creation_ms_per_call) / calls;
  out.adoptions = (after.adoptions - before.adoptions) / counted;
  out.created = (after.created - before.created) / counted;
  out.mb = after.mb;
  return out;
}

}  // namespace sock::bench
