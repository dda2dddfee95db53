// The tree planner against SOCK's and ForkLift's algorithms, on functions they were not fitted to:
// the functions are split by name, each algorithm sees one half and is judged by the other, at
// several budgets, with equal and with Zipf popularity. Then how long planning and looking up take.

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "pkgcache/baselines/compare.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/lookup.h"
#include "pkgcache/planner/popularity.h"
#include "pkgcache/planner/random.h"

namespace sock::bench {
namespace {

using namespace sock::pkgcache;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kMaxFile = std::size_t{64} << 20U;

struct Options {
  std::string functions;
  std::string costs;
  std::vector<double> budgets = {50, 100, 200, 400, 800};
  std::vector<double> exponents = {0, 1.1};
  unsigned seeds = 10;
  bool unsealed = false;
  CostParameters parameters;
};

struct Data {
  std::vector<Function> functions;
  CostTable costs;
  Universe universe;
};

Result<Data> load(const Options& options) {
  const auto functions = read_file(AT_FDCWD, options.functions, kMaxFile);
  if (!functions) return std::unexpected(functions.error());
  const auto costs = read_file(AT_FDCWD, options.costs, kMaxFile);
  if (!costs) return std::unexpected(costs.error());
  auto parsed = parse_functions(*functions, options.functions);
  if (!parsed) return std::unexpected(parsed.error());
  auto table = parse_costs(*costs, options.costs);
  if (!table) return std::unexpected(table.error());
  Universe universe = universe_of(*parsed);
  return Data{std::move(*parsed), std::move(*table), std::move(universe)};
}

/// Means over the seeds.
struct Row {
  double mean_ms = 0;
  double p99_ms = 0;
  double hit_ratio = 0;
  double creation_ms = 0;
  double saved_ms_per_mb = 0;
  double nodes = 0;
};

enum class Fitted { kToOthers, kToTheJudged };

Row measure(const Data& data, const Options& options, Algorithm algorithm, double budget,
            double exponent, Fitted fitted = Fitted::kToOthers) {
  const CostModel costs(data.universe, data.costs, options.parameters);
  Row row;
  for (unsigned seed = 1; seed <= options.seeds; ++seed) {
    Halves halves = split_by_name(data.functions, seed);
    make_zipf(halves.planned, halves.judged, exponent, seed);
    const auto judged = demanded_sets(data.universe, halves.judged);
    const auto planned =
        fitted == Fitted::kToTheJudged ? judged : demanded_sets(data.universe, halves.planned);
    Comparison comparison;
    comparison.limits.budget_mb = budget;
    comparison.limits.unseen.share = fitted == Fitted::kToTheJudged ? 0 : 1;
    comparison.seed = seed;
    const Judgement result =
        compare(algorithm, data.universe, planned, judged, costs, comparison).judgement;
    row.mean_ms += result.mean_ms / options.seeds;
    row.p99_ms += result.p99_ms / options.seeds;
    row.hit_ratio += result.hit_ratio / options.seeds;
    row.creation_ms += result.creation_ms_per_call / options.seeds;
    row.saved_ms_per_mb += result.saved_ms_per_mb() / options.seeds;
    row.nodes += static_cast<double>(result.nodes) / options.seeds;
  }
  return row;
}

void print_row(const char* name, const Row& row) {
  std::printf("  %-14s %9.2f %9.1f %7.1f %% %9.2f %12.2f %8.1f\n", name, row.mean_ms, row.p99_ms,
              100 * row.hit_ratio, row.saved_ms_per_mb, row.creation_ms, row.nodes);
}

void print_table(const Data& data, const Options& options, double exponent) {
  std::printf("popularity: %s, mean of %u splits\n",
              exponent > 0 ? ("Zipf " + CLI::detail::to_string(exponent)).c_str() : "equal",
              options.seeds);
  for (const double budget : options.budgets) {
    std::printf("  %-14s %9s %9s %9s %9s %12s %8s\n",
                (CLI::detail::to_string(budget) + " MB").c_str(), "mean ms", "p99 ms", "hits",
                "ms/MB", "creation ms", "zygotes");
    const auto row = [&](Algorithm algorithm) {
      return measure(data, options, algorithm, budget, exponent);
    };
    const Row forklift = row(Algorithm::kForkLift);
    const Row sock = row(Algorithm::kSock);
    const Row ours = row(Algorithm::kOurs);
    print_row("none", row(Algorithm::kNone));
    print_row("ForkLift v3", forklift);
    print_row("SOCK online", sock);
    print_row("ours", ours);
    print_row("ours, refitted",
              measure(data, options, Algorithm::kOurs, budget, exponent, Fitted::kToTheJudged));
    std::printf(
        "  ours against ForkLift %+.0f %%, p99 %+.0f %%; against SOCK %+.0f %%, p99 %+.0f %%\n",
        100 * (ours.mean_ms / forklift.mean_ms - 1), 100 * (ours.p99_ms / forklift.p99_ms - 1),
        100 * (ours.mean_ms / sock.mean_ms - 1), 100 * (ours.p99_ms / sock.p99_ms - 1));
    std::fflush(stdout);
  }
  std::printf("\n");
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

void time_planning(const Data& data, const Options& options) {
  const auto demand = demanded_sets(data.universe, data.functions);
  const CostModel costs(data.universe, data.costs, options.parameters);
  for (const double budget : options.budgets) {
    std::vector<double> times;
    for (int round = 0; round < 5; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const Dependencies dependencies(data.universe, demand);
      TreeLimits limits;
      limits.budget_mb = budget;
      (void)plan_tree(data.universe, demand, dependencies, costs, limits);
      times.push_back(milliseconds_since(start));
    }
    std::ranges::sort(times);
    std::printf("planning %zu functions (%zu sets), %zu packages, %g MB: %.1f ms (%.1f to %.1f)\n",
                data.functions.size(), demand.size(), data.universe.size(), budget, times[2],
                times.front(), times.back());
  }
}

/// Made-up sets: 1,000 zygotes of up to 12 among 500 packages, functions with 18.
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
    const auto start = std::chrono::steady_clock::now();
    for (const PackageSet& set : wanted) sum += match.find(set);
    rounds.push_back(milliseconds_since(start));
  }
  std::ranges::sort(rounds);
  std::printf("best match among 1000 zygotes, 500 packages: %.2f us (%.2f to %.2f), checksum %zu\n",
              rounds[50], rounds.front(), rounds.back(), sum);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("The tree planner against other systems' algorithms, on functions it did not see");
  app.add_option("--functions", options.functions, "functions, CSV: fn,direct,closure")->required();
  app.add_option("--costs", options.costs, "what packages cost, JSON")->required();
  app.add_option("--budgets", options.budgets, "MB")->delimiter(',')->check(CLI::PositiveNumber);
  app.add_option("--zipf", options.exponents, "exponents of popularity; 0 is equal")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 10.0));
  app.add_option("--seeds", options.seeds, "splits")->check(CLI::Range(1U, 1000U));
  app.add_option("--node-mb", options.parameters.node_mb, "what a zygote costs by itself, MB")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app.add_option("--root-share", options.parameters.root_share_ms,
                 "part of the imports that the root has done already")
      ->check(CLI::Range(0.0, 1.0));
  app.add_flag("--unsealed", options.unsealed, "clones at the price of unsealed zygotes");
  CLI11_PARSE(app, argc, argv);
  if (options.unsealed) options.parameters.clone = kUnsealedClone;

  const auto data = load(options);
  if (!data) {
    std::fprintf(stderr, "pkgplan: %s\n", data.error().describe().c_str());
    return 1;
  }
  for (const double exponent : options.exponents) print_table(*data, options, exponent);
  time_planning(*data, options);
  time_lookup();
  return 0;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
