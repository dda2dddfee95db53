#include "bench/pkgplan_time.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/random.h"
#include "pkgcache/planner/tree_planner.h"

namespace sock::bench {
namespace {

using namespace sock::pkgcache;  // NOLINT(google-build-using-namespace)

/// The processor's time, which other programs on the host do not lengthen.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

std::string package_name(std::size_t i) { return "p" + std::to_string(i); }

/// Made-up functions over `packages` packages, the first of them the most popular; each has
/// `shared` of them, the same for all, and up to `own` more.
std::vector<Function> made_up(std::size_t functions, std::size_t packages, std::size_t shared,
                              std::size_t own) {
  Random random(11);
  std::vector<Function> out;
  for (std::size_t f = 0; f < functions; ++f) {
    std::vector<bool> chosen(packages, false);
    std::fill_n(chosen.begin(), shared, true);
    for (std::size_t n = 1 + random.below(own); n > 0; --n) {
      const double u = random.unit();
      chosen[static_cast<std::size_t>(u * u * static_cast<double>(packages))] = true;
    }
    Function function{"f" + std::to_string(f), {}, 1 + 99 * random.unit()};
    for (std::size_t p = 0; p < packages; ++p) {
      if (chosen[p]) function.packages.push_back({package_name(p), "1"});
    }
    std::ranges::sort(function.packages);
    out.push_back(std::move(function));
  }
  return out;
}

CostTable made_up_costs(std::size_t packages) {
  Random random(12);
  CostTable table;
  for (std::size_t p = 0; p < packages; ++p) {
    table[package_name(p)]["1"] = {100 * random.unit() * random.unit(), 4 * random.unit()};
  }
  return table;
}

}  // namespace

void time_planning(std::span<const Function> functions, const CostTable& table,
                   const CostParameters& parameters, std::span<const double> budgets) {
  const Universe universe = universe_of(functions);
  const auto demand = demanded_sets(universe, functions);
  const CostModel costs(universe, table, parameters);
  for (const double budget : budgets) {
    std::vector<double> times;
    for (int round = 0; round < 5; ++round) {
      const double start = cpu_ms();
      const Dependencies dependencies(universe, demand);
      TreeLimits limits;
      limits.budget_mb = budget;
      (void)plan_tree(universe, demand, dependencies, costs, limits);
      times.push_back(cpu_ms() - start);
    }
    std::ranges::sort(times);
    std::printf("planning %zu functions (%zu sets), %zu packages, %g MB: %.1f ms (%.1f to %.1f)\n",
                functions.size(), demand.size(), universe.size(), budget, times[2], times.front(),
                times.back());
    std::fflush(stdout);
  }
}

void time_planning_at_worst(const CostParameters& parameters) {
  struct Case {
    const char* what;
    std::size_t functions;
    std::size_t packages;
    std::size_t shared;
    std::size_t own;
  };
  for (const Case& made : {Case{"the aim, all sets different", 1300, 340, 0, 18},
                           Case{"one core in all, of 300 packages", 1300, 340, 300, 20},
                           Case{"more sets than count", 20'000, 340, 0, 18},
                           Case{"many packages", 4000, 20'000, 0, 40}}) {
    std::printf("made up, %s:\n  ", made.what);
    time_planning(made_up(made.functions, made.packages, made.shared, made.own),
                  made_up_costs(made.packages), parameters, std::vector<double>{800});
  }
}

void time_lookup() {
  std::vector<Package> packages;
  CostTable table;
  Random random(7);
  for (int i = 0; i < 500; ++i) {
    packages.push_back({"p" + std::to_string(i), "1"});
    table[packages.back().name]["1"] = {1 + 100 * random.unit(), 1};
  }
  const Universe universe(packages);
  const CostModel costs(universe, table);
  // Popular packages are in many sets.
  const auto draw = [&](std::size_t n) {
    PackageSet set = universe.empty_set();
    while (set.count() < n) {
      const double u = random.unit();
      set.insert(static_cast<std::size_t>(u * u * u * 500));
    }
    return set;
  };
  ZygoteTree tree = {{universe.empty_set(), 0, 0}};
  while (tree.size() < 1001) tree.push_back({draw(1 + random.below(12)), 0, 1});
  const BestMatch match(tree, costs);
  std::vector<PackageSet> wanted;
  for (int i = 0; i < 1000; ++i) wanted.push_back(draw(18));
  std::vector<double> rounds;
  std::size_t sum = 0;
  for (int round = 0; round < 101; ++round) {
    const double start = cpu_ms();
    for (const PackageSet& set : wanted) sum += match.find(set);
    rounds.push_back(cpu_ms() - start);
  }
  std::ranges::sort(rounds);
  std::printf("best match among 1000 zygotes, 500 packages: %.2f us (%.2f to %.2f), checksum %zu\n",
              rounds[50], rounds.front(), rounds.back(), sum);
}

}  // namespace sock::bench
