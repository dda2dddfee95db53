#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// A set that a zygote might hold.
struct Candidate {
  PackageSet packages;
  double ms = 0;                      ///< what it saves a call
  double mb = 0;                      ///< memory of its packages
  std::vector<std::uint32_t> serves;  ///< the demanded sets that contain it, by index
};

/// How far to look; bounds the planner's time.
struct CandidateLimits {
  std::size_t heavy_sets = 300;                    ///< demanded sets whose intersections are formed
  std::size_t heavy_packages = 64;                 ///< packages whose unions are formed
  std::size_t closures = 60'000;                   ///< formed
  std::size_t sets = 40'000;                       ///< looked at
  std::size_t set_bytes = std::size_t{32} << 20U;  ///< that those take, about
  std::size_t candidates = 5000;                   ///< kept, those that save most for their memory
};

/// Dependency-closed sets without conflicts that would save somebody something. Of the known
/// demand: what each package needs, what each function needs, what two heavy functions have in
/// common. Of all that is expected: each set, and unions of two heavy packages' closures that one
/// of the sets has both of. Of each also what is left without what saves little for its memory.
/// Distinct, those first that save most for their memory, in an order that depends on nothing but
/// the arguments. `serves` refers to `expected`.
[[nodiscard]] std::vector<Candidate> find_candidates(const Universe& universe,
                                                     std::span<const DemandedSet> known,
                                                     std::span<const DemandedSet> expected,
                                                     const Dependencies& dependencies,
                                                     const CostModel& costs,
                                                     const CandidateLimits& limits = {});

}  // namespace sock::pkgcache
