#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "pkgcache/adapt/demand_sketch.h"
#include "pkgcache/adapt/measured_packages.h"
#include "pkgcache/adapt/parked.h"
#include "pkgcache/plan.h"
#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/zygote_tree.h"

namespace sock::pkgcache {

class TreeFit;
struct FitLimits;

struct TreeOptions {
  std::uint64_t budget_bytes = std::uint64_t{512} << 20U;  ///< of all zygotes beside the root
  std::size_t max_nodes = 256;                             ///< with the root
  std::size_t max_depth = kMaxTreeDepth;                   ///< levels below the root
  /// Sets that always have a zygote, whatever the demand and the limits; of each the part that
  /// zygotes may hold. Sets with two versions of one package are left out.
  std::vector<std::vector<Package>> pinned;
  CostParameters costs;
  SketchOptions demand;
  ParkedLimits parked;

  /// Calls that every deployed function counts as having had on top of those it had.
  double prior_calls = 0.4;
  /// Calls a second that all deployed sets without any are taken to have together, at least: where
  /// there is room, a few functions have zygotes before their first calls.
  double idle_rate = 0.1;
  std::chrono::duration<double> interval{60};  ///< between plans when nothing has changed
  std::chrono::duration<double> least_interval{2};
  /// Part of the calls (0 … 1) that must have moved to other sets for a plan before its time.
  double moved = 0.2;
  /// A new zygote must save, in so many seconds, `margin` times what it takes to make.
  std::chrono::duration<double> horizon{300};
  double margin = 1.5;
  double start_ms = 50;  ///< what making a zygote takes beside its imports
  /// A set gets a zygote without waiting for a plan when its calls have lost `margin` times
  /// `regret` times what making it takes.
  double regret = 2;
  /// Part of the calls that come from functions not deployed yet, 0 … 1 exclusive; see Unseen.
  double unseen = 0.05;
};

/// Why the tree changes.
enum class Cause {
  kPlan,      ///< a plan for the present demand is worth more than the change costs
  kRegret,    ///< one set has missed a zygote for longer than making it takes
  kPressure,  ///< less memory than the tree takes
  kBarred,    ///< a package must not be in zygotes any more
  kParked,    ///< the tree stays, only the parked clones change
};

/// "plan", "regret", …
[[nodiscard]] std::string_view to_string(Cause cause);

/// The tree that should be. Make `create` in its order, then retire `retire` in its order: until
/// then calls have the old ones. Both together are the difference to the decision before.
struct Decision {
  Cause cause = Cause::kPlan;
  ZygotePlan plan;
  std::map<std::string, std::uint32_t> parked;  ///< fewest parked clones, by id; of every node
  std::vector<std::string> create;              ///< ids, parents first
  std::vector<std::string> retire;              ///< ids, children first
  double creation_ms = 0;                       ///< what making the new ones takes, as predicted
  double saved_ms_per_s = 0;                    ///< what the calls save by the new tree, predicted
};

/// Keeps the tree of zygotes fitted to live demand. Decides only: no I/O, no clock (`now` is
/// passed in and must not go backwards), the same calls give the same decisions. Starts with the
/// root alone. Memory is bounded by the sets deployed and SketchOptions::capacity.
///
/// Not thread safe, except that plan() runs anywhere. About once a second, on the owner's thread:
///
///     if (auto decision = controller.react(now)) apply(*decision);
///     if (!planning && controller.due(now)) {
///       snapshot = controller.take(now);
///       // on a worker: proposal = TreeController::plan(snapshot)
///       if (auto decision = controller.decide(std::move(proposal))) apply(*decision);
///     }
class TreeController {
 public:
  explicit TreeController(TreeOptions options);
  TreeController(const TreeController&) = delete;
  TreeController& operator=(const TreeController&) = delete;
  ~TreeController();

  /// A function with these packages (its exact closure, in any order) is there. Once for each
  /// function; equal sets get equal ids. The id holds until as many remove() and is not used
  /// again for other packages.
  [[nodiscard]] SetId deploy(std::vector<Package> packages);
  /// One of its functions is gone. What demand it had fades away.
  void remove(SetId set);

  /// A call of a deployed set at `now` was served by the zygote `node` (an id of a plan; unknown
  /// ones count for demand alone). Below a microsecond.
  void note_call(SetId set, std::string_view node, Clock::time_point now);

  /// What zygotes may hold from now on; null is nothing. A decision when the tree holds something
  /// else; in any case a plan is due.
  [[nodiscard]] std::optional<Decision> set_packages(
      std::shared_ptr<const MeasuredPackages> packages);

  /// Other sets than those of TreeOptions::pinned from now on; a plan is due.
  void set_pinned(std::vector<std::vector<Package>> sets);

  /// The memory for all zygotes beside the root. With less than the tree takes, a decision that
  /// retires what saves least per MB; never what is pinned.
  [[nodiscard]] std::optional<Decision> set_budget(std::uint64_t bytes, Clock::time_point now);

  /// What a live node itself takes, without what it shares with its parent, and what making it
  /// took; corrects what is expected of all nodes together. 0: not known.
  void note_node(std::string_view node, std::uint64_t memory_bytes, double creation_ms);
  /// What a parked clone of the node takes.
  void note_parked(std::string_view node, std::uint64_t clone_bytes);

  /// Opens what calls have missed too long. Cheap when there is nothing to do.
  [[nodiscard]] std::optional<Decision> react(Clock::time_point now);

  /// True when the demand, the sets or the packages have changed enough for a plan, or time has.
  [[nodiscard]] bool due(Clock::time_point now);

  /// Everything that plan() needs; shares nothing that changes.
  struct Snapshot;
  struct Proposal;
  [[nodiscard]] std::shared_ptr<const Snapshot> take(Clock::time_point now);
  /// The heavy part: up to 0.2 s. Pure; safe on any thread.
  [[nodiscard]] static std::shared_ptr<Proposal> plan(const Snapshot& snapshot);
  /// The tree to have now, if the proposal is worth the change and still holds; else the plan is
  /// due again. One proposal once, in the order of take().
  [[nodiscard]] std::optional<Decision> decide(std::shared_ptr<Proposal> proposal);

  /// The tree as last decided.
  [[nodiscard]] const ZygotePlan& current() const { return current_; }
  /// What is expected of each set, calls a second, for view_tree().
  [[nodiscard]] std::vector<Demand> demand(Clock::time_point now) const;
  /// Calls noted by node since it is in the tree.
  [[nodiscard]] std::uint64_t calls_of(std::string_view node) const;

 private:
  /// A set that is deployed or still has demand.
  struct Set {
    std::shared_ptr<const std::vector<Package>> packages;
    std::size_t functions = 0;            ///< deployed ones that have it
    double planned = 0;                   ///< its part of the calls at the last take()
    std::optional<std::size_t> demanded;  ///< its place in the live tree's world
  };
  /// What is known of a node of the tree.
  struct NodeFacts {
    std::uint64_t calls = 0;
    double predicted_mb = 0;  ///< of its own; 0 for the root
    double predicted_ms = 0;  ///< of its creation
    double memory_mb = 0;     ///< 0: not measured, as below
    double creation_ms = 0;
    std::uint64_t clone_bytes = 0;
  };
  struct TextHash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  [[nodiscard]] double weight(SetId id, const Set& set) const;
  [[nodiscard]] double total_weight() const;
  [[nodiscard]] double distance() const;
  [[nodiscard]] double rate(SetId id, const Set& set, double total, Clock::time_point now) const;
  void refresh_rates(Clock::time_point now);
  void forget_faded();
  [[nodiscard]] double measured_by_predicted(double NodeFacts::*measured,
                                             double NodeFacts::*predicted) const;
  [[nodiscard]] FitLimits limits() const;
  void go_live(TreeFit fit);
  [[nodiscard]] std::optional<Decision> adopt(TreeFit fit, Cause cause);

  TreeOptions options_;
  DemandSketch sketch_;
  std::unordered_map<SetId, Set> sets_;
  std::map<std::vector<Package>, SetId> ids_;
  SetId next_id_ = 1;
  std::shared_ptr<const MeasuredPackages> packages_;

  ZygotePlan current_;
  std::map<std::string, std::uint32_t> parked_;
  std::unordered_map<std::string, NodeFacts, TextHash, std::equal_to<>> facts_;
  std::unique_ptr<TreeFit> live_;  ///< the current tree; null before the first plan
  std::vector<double> regret_ms_;  ///< by demanded set, since the last plan
  std::vector<std::size_t> hot_;   ///< those whose regret has come due
  bool regretting_ = false;        ///< the live tree's world still holds

  bool wanted_ = true;       ///< a plan as soon as may be
  std::uint64_t basis_ = 0;  ///< counts what makes a proposal outdated
  std::optional<Clock::time_point> planned_at_;
  Clock::time_point looked_at_;
};

}  // namespace sock::pkgcache
