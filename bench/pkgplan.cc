// The tree planner against SOCK's and ForkLift's algorithms, on functions they were not fitted to:
// the functions are split by name, each algorithm sees one half and is judged by the other, at
// several budgets, with equal and with Zipf popularity. Then how long planning and looking up take.

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "bench/pkgplan_time.h"
#include "pkgcache/baselines/compare.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/popularity.h"

namespace sock::bench {
namespace {

using namespace sock::pkgcache;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kMaxFile = std::size_t{64} << 20U;

struct Options {
  std::string functions;
  std::string costs;
  std::vector<double> budgets = {50, 100, 200, 400, 800};
  std::vector<double> exponents = {0, 1.1};
  unsigned first_seed = 1;
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
  std::vector<double> means;  ///< by seed
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
  for (unsigned seed = options.first_seed; seed < options.first_seed + options.seeds; ++seed) {
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
    row.means.push_back(result.mean_ms);
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

/// Of the splits by their own ratio the middle one, as a change.
double median_change(const Row& ours, const Row& other) {
  std::vector<double> changes;
  for (std::size_t i = 0; i < ours.means.size(); ++i) {
    changes.push_back(ours.means[i] / other.means[i] - 1);
  }
  std::ranges::nth_element(changes, changes.begin() + static_cast<long>(changes.size() / 2));
  return changes[changes.size() / 2];
}

void print_change(const char* other, const Row& ours, const Row& theirs) {
  std::printf("  ours against %s: %+.1f %% (middle split %+.1f %%), p99 %+.1f %%\n", other,
              100 * (ours.mean_ms / theirs.mean_ms - 1), 100 * median_change(ours, theirs),
              100 * (ours.p99_ms / theirs.p99_ms - 1));
}

void print_table(const Data& data, const Options& options, double exponent) {
  std::printf("popularity: %s, mean of the splits %u to %u\n",
              exponent > 0 ? ("Zipf " + CLI::detail::to_string(exponent)).c_str() : "equal",
              options.first_seed, options.first_seed + options.seeds - 1);
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
    print_change("ForkLift", ours, forklift);
    print_change("SOCK", ours, sock);
    std::fflush(stdout);
  }
  std::printf("\n");
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
  app.add_option("--first-seed", options.first_seed, "of the splits; the others follow it")
      ->check(CLI::Range(1U, 1'000'000U))
      ->capture_default_str();
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
  time_planning(data->functions, data->costs, options.parameters, options.budgets);
  time_planning_at_worst(options.parameters);
  time_lookup();
  return 0;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
