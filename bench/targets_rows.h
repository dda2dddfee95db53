#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "bench/targets_context.h"
#include "bench/targets_table.h"

namespace sock::bench {

/// Rows of the table that are measured together, so that they and their baselines take turns.
class RowGroup {
 public:
  virtual ~RowGroup() = default;
  /// Whether the options ask for any of its rows.
  [[nodiscard]] virtual bool wanted() const = 0;
  /// Starts and deploys what it needs; once, before the first round.
  [[nodiscard]] virtual Result<> prepare() = 0;
  /// One round.
  [[nodiscard]] virtual Result<> measure() = 0;
  virtual void report(std::vector<TargetRow>& rows) const = 0;
};

/// 1, 2: a parked clone of a function's and of a package zygote; 4: a clone made on demand.
[[nodiscard]] std::unique_ptr<RowGroup> latency_rows(TargetContext& context);

/// 3: a group-by in pandas against the same in a process kept warm.
[[nodiscard]] std::unique_ptr<RowGroup> group_by_rows(TargetContext& context);

/// 5: calls per second when saturated, and who uses the processors; 6: many calls in flight.
[[nodiscard]] std::unique_ptr<RowGroup> load_rows(TargetContext& context);

/// 7: a parked clone's own memory; 8: what a zygote's start costs beyond its imports.
[[nodiscard]] std::unique_ptr<RowGroup> memory_rows(TargetContext& context);

}  // namespace sock::bench
