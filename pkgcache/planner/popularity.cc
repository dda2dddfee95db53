#include "pkgcache/planner/popularity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <tuple>

#include "pkgcache/planner/random.h"

namespace sock::pkgcache {

namespace {

/// 64-bit FNV-1a, stirred so that seeds give unrelated orders.
std::uint64_t shuffled(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x100000001b3U;
  }
  return Random(hash ^ Random(seed).next()).next();
}

}  // namespace

void make_zipf(std::span<Function> planned, std::span<Function> judged, double exponent,
               std::uint64_t seed) {
  std::map<std::vector<Package>, std::uint64_t> place;
  std::vector<Function*> order;
  for (const std::span<Function> functions : {planned, judged}) {
    for (Function& function : functions) {
      // A set stands where the first of its functions would stand alone.
      const std::uint64_t own = shuffled(function.name, seed);
      const auto [at, added] = place.emplace(function.packages, own);
      if (!added) at->second = std::min(at->second, own);
      order.push_back(&function);
    }
  }
  std::ranges::stable_sort(order, {}, [&](const Function* function) {
    return std::tuple(place[function->packages], shuffled(function->name, seed), function->name);
  });
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i]->rate = std::pow(static_cast<double>(i + 1), -exponent);
  }
}

Halves split_by_name(std::span<const Function> functions, std::uint64_t seed) {
  Halves out;
  for (const Function& function : functions) {
    const bool judged = (shuffled(function.name, seed ^ 0x5eedU) >> 63U) != 0;
    (judged ? out.judged : out.planned).push_back(function);
  }
  return out;
}

}  // namespace sock::pkgcache
