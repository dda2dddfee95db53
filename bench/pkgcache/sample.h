#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"

namespace sock::bench {

/// What is deployed and called: a part of the data set, its packages under names that no real
/// package has, so that none is taken from the host.
struct Sample {
  std::vector<pkgcache::Function> functions;  ///< with the rates at which they are called
  pkgcache::CostTable table;                  ///< of their packages alone
  pkgcache::Universe universe;
  pkgcache::CostModel costs;
};

struct SampleOptions {
  std::size_t functions = 60;
  double zipf = 1.1;  ///< exponent of popularity; 0 is equal
  std::uint64_t seed = 1;
  pkgcache::CostParameters parameters = {};  ///< of the cost model
};

/// Draws functions that need packages, each of which has a measured cost. kInvalid when there are
/// fewer of them than asked for. The same arguments give the same sample on every host.
[[nodiscard]] Result<Sample> draw_sample(std::span<const pkgcache::Function> functions,
                                         const pkgcache::CostTable& table,
                                         const SampleOptions& options);

/// Calls, as indices of the functions, each drawn by its rate.
[[nodiscard]] std::vector<std::size_t> draw_calls(std::span<const pkgcache::Function> functions,
                                                  std::size_t count, std::uint64_t seed);

}  // namespace sock::bench
