#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// Gives the functions of both lists rates 1/rank^exponent. The ranks are those of one shuffle over
/// both, in which functions with the same packages stand together: what is called often under one
/// name is under the other. The same functions and `seed` give the same rates. Exponent 0: all 1.
void make_zipf(std::span<Function> planned, std::span<Function> judged, double exponent,
               std::uint64_t seed);

/// Splits by name, about half and half; the same names and `seed` give the same halves.
struct Halves {
  std::vector<Function> planned;
  std::vector<Function> judged;
};
[[nodiscard]] Halves split_by_name(std::span<const Function> functions, std::uint64_t seed);

}  // namespace sock::pkgcache
