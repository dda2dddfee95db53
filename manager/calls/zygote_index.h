#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "manager/calls/zygote_node.h"
#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/universe.h"

namespace sock::manager {

/// A node chosen for a call; keeps it alive.
struct ZygoteChoice {
  std::shared_ptr<ZygoteNode> node;
  bool exact = false;  ///< it holds all of the wanted packages
};

/// What having a set of packages loaded saves a call, in ms.
using SetWorth = std::function<double(std::span<const pkgcache::Package>)>;

/// The zygotes that are ready, to choose from: exactly, in microseconds, however many they are.
/// Immutable; not thread safe, since nodes are not.
class ZygoteIndex {
 public:
  ZygoteIndex() : ZygoteIndex({}, {}) {}
  /// Without `worth` every package counts alike.
  ZygoteIndex(std::vector<std::shared_ptr<ZygoteNode>> nodes, const SetWorth& worth);

  /// The node that saves most among those that hold nothing but packages of `wanted`, at exactly
  /// its versions; the bare one when none saves anything; nothing when that is not there.
  [[nodiscard]] std::optional<ZygoteChoice> choose(std::span<const pkgcache::Package> wanted) const;

  [[nodiscard]] const std::vector<std::shared_ptr<ZygoteNode>>& nodes() const { return nodes_; }

 private:
  std::vector<std::shared_ptr<ZygoteNode>> nodes_;
  pkgcache::Universe universe_;
  pkgcache::BestMatch match_;
  std::vector<std::shared_ptr<ZygoteNode>> by_rank_;  ///< as `match_` numbers them; null: no root
};

}  // namespace sock::manager
