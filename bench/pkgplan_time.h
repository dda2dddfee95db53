#pragma once

#include <span>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"

namespace sock::bench {

/// Prints what planning for `functions` takes of a processor's time at each budget: of five the
/// middle, the best and the worst.
void time_planning(std::span<const pkgcache::Function> functions, const pkgcache::CostTable& table,
                   const pkgcache::CostParameters& parameters, std::span<const double> budgets);

/// Prints the same for made-up functions: as many as are aimed at, and inputs that are meant to be
/// hard.
void time_planning_at_worst(const pkgcache::CostParameters& parameters);

/// Prints how long finding the best zygote takes: 1,000 of up to 12 among 500 packages, for
/// functions with 18.
void time_lookup();

}  // namespace sock::bench
