#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "pkgcache/adapt/tree_controller.h"
#include "pkgcache/adapt/tree_fit.h"

namespace sock::pkgcache {

struct TreeController::Snapshot {
  std::vector<WantedSet> wanted;
  std::vector<std::vector<Package>> pinned;
  std::vector<std::vector<Package>> live;  ///< the nodes that are there
  std::shared_ptr<const MeasuredPackages> packages;
  CostParameters costs;
  FitLimits limits;
  double unseen = 0;
  std::uint64_t basis = 0;
};

struct TreeController::Proposal {
  TreeFit fit;
  std::uint64_t basis = 0;
};

}  // namespace sock::pkgcache
