#pragma once

#include <string>

#include "base/error.h"
#include "bench/targets_context.h"

namespace sock::bench {

struct GrowthReport {
  std::string table;  ///< for a person
  std::string json;
  bool grew = false;  ///< beyond what kGauges allow, or calls failed
};

/// Serves options.growth calls of mixed functions from 8 clients, and reads what must not grow when
/// sockd has settled: before (after 2,000 calls to warm up), at each quarter, and at the end.
[[nodiscard]] Result<GrowthReport> run_growth(TargetContext& context);

}  // namespace sock::bench
