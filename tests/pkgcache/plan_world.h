#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "pkgcache/planner/cost_model.h"
#include "pkgcache/planner/random.h"
#include "pkgcache/planner/workload.h"

namespace sock::pkgcache {

/// A function that needs `packages`, all at version 1 unless told ("name==2").
inline Function function_of(const std::string& name, const std::vector<std::string>& packages,
                            double rate = 1) {
  Function function{name, {}, rate};
  for (const std::string& package : packages) {
    const auto at = package.find("==");
    function.packages.push_back(at == std::string::npos
                                    ? Package{package, "1"}
                                    : Package{package.substr(0, at), package.substr(at + 2)});
  }
  std::ranges::sort(function.packages);
  return function;
}

/// Everything that planning takes, with clones that cost nothing unless told.
struct PlanWorld {
  PlanWorld(const std::vector<Function>& functions, const CostTable& table,
            CostParameters parameters = {{0, 0, 0}, 4, 1})
      : universe(universe_of(functions)),
        demand(demanded_sets(universe, functions)),
        dependencies(universe, demand),
        costs(universe, table, parameters) {}
  PlanWorld(const PlanWorld&) = delete;
  PlanWorld& operator=(const PlanWorld&) = delete;

  [[nodiscard]] PackageSet set(const std::vector<std::string>& packages) const {
    return universe.set_of(function_of("", packages).packages);
  }

  Universe universe;
  std::vector<DemandedSet> demand;
  Dependencies dependencies;
  CostModel costs;
};

/// Functions with random packages, each at one of two versions; package i of a set needs i/3 too.
inline std::vector<Function> random_functions(Random& random, std::size_t functions,
                                              std::size_t packages) {
  std::vector<Function> out;
  for (std::size_t f = 0; f < functions; ++f) {
    std::vector<bool> chosen(packages, false);
    for (std::size_t n = 1 + random.below(4); n > 0; --n) {
      for (std::size_t p = random.below(packages); !chosen[p]; p /= 3) chosen[p] = true;
    }
    std::vector<std::string> names;
    for (std::size_t p = 0; p < packages; ++p) {
      if (!chosen[p]) continue;
      names.push_back("p" + std::to_string(p) + (random.below(8) == 0 ? "==2" : "==1"));
    }
    out.push_back(function_of("f" + std::to_string(f), names, 1 + 9 * random.unit()));
  }
  return out;
}

inline CostTable random_costs(Random& random, std::size_t packages) {
  CostTable table;
  for (std::size_t p = 0; p < packages; ++p) {
    for (const char* version : {"1", "2"}) {
      table["p" + std::to_string(p)][version] = {100 * random.unit() * random.unit(),
                                                 5 * random.unit()};
    }
  }
  return table;
}

}  // namespace sock::pkgcache
