#pragma once

#include <functional>
#include <map>
#include <string>

#include "pkgcache/adapt/parked.h"
#include "pkgcache/adapt/tree_controller.h"
#include "pkgcache/adapt/tree_fit.h"

namespace sock::pkgcache {

/// The tree as a plan: parents before children, otherwise what saves most first.
[[nodiscard]] ZygotePlan to_plan(const TreeFit& fit, std::size_t max_depth);

/// Fewest parked clones of each node. `clone_bytes` gives what one takes, by id.
[[nodiscard]] std::map<std::string, std::uint32_t> to_parked(
    const TreeFit& fit, const ZygotePlan& plan, const ParkedLimits& limits,
    const std::function<std::uint64_t(const std::string& id)>& clone_bytes);

/// What a node takes by the cost model, on top of its parent.
struct NodePrediction {
  double mb = 0;
  double import_ms = 0;
};
/// By id; 0 for the root.
[[nodiscard]] std::map<std::string, NodePrediction> predict_nodes(const FitWorld& world,
                                                                  const ZygotePlan& plan);

/// What is to be done from one plan to the other.
void list_changes(const ZygotePlan& from, const ZygotePlan& to, Decision& decision);

}  // namespace sock::pkgcache
