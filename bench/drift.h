#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "pkgcache/adapt/tree_controller.h"
#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"

namespace sock::bench {

/// Real functions and what their packages cost.
struct DriftData {
  DriftData(std::vector<pkgcache::Function> functions, const pkgcache::CostTable& table,
            const pkgcache::CostParameters& parameters);

  std::vector<pkgcache::Function> functions;
  pkgcache::Universe universe;
  pkgcache::CostModel costs;
  std::shared_ptr<const pkgcache::MeasuredPackages> measured;  ///< the same costs
};

enum class Change {
  kNone,
  kShuffle,  ///< every function gets another's popularity
  kHotSpot,  ///< one rare function gets half of the calls; another one each phase
};

struct DriftOptions {
  double budget_mb = 200;
  double exponent = 1.1;
  double rate = 50;  ///< calls a second
  std::size_t phase_calls = 5000;
  std::size_t phases = 6;  ///< after the first, in which everybody learns; it is not counted
  Change change = Change::kShuffle;
  pkgcache::TreeOptions tree;
};

enum class Contender { kNone, kSock, kFrozen, kOurs, kRefitted };

/// Means over the counted phases.
struct DriftResult {
  std::vector<double> window_ms;    ///< service time by 1,000 calls since the change
  double settled_ms = 0;            ///< of the calls after the first 2,000
  double import_ms_per_call = 0;    ///< spent on making zygotes: imports,
  double creation_ms_per_call = 0;  ///< and the rest of it
  double adoptions = 0;             ///< decisions that changed the tree, a phase
  double created = 0;               ///< zygotes made, a phase
  double mb = 0;                    ///< of the tree in the end

  DriftResult& operator+=(const DriftResult& other);
  DriftResult& operator/=(double n);
};

/// One run. Zygotes are made one after the other and serve when they are ready; those retired
/// serve until then. Refitted and frozen trees stand at once and cost nothing. Deterministic.
[[nodiscard]] DriftResult replay(const DriftData& data, const DriftOptions& options,
                                 Contender contender, std::uint64_t seed);

}  // namespace sock::bench
