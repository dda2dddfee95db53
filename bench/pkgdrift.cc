// The tree of zygotes under changing demand: calls of real functions whose popularity is
// reshuffled every few thousand calls, against our controller, against a tree that stays as it was
// planned, against one planned anew with the true popularity each time, and against SOCK's cache.
// Simulated: costs are the cost model's, time is the calls' number over their rate.

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "bench/drift.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"
#include "pkgcache/planner/random.h"

namespace sock::bench {
namespace {

using namespace sock::pkgcache;  // NOLINT(google-build-using-namespace)

constexpr std::size_t kMaxFile = std::size_t{64} << 20U;

struct Options {
  std::string functions;
  std::string costs;
  std::string scenario = "shuffle";
  std::uint64_t first_seed = 101;
  unsigned seeds = 5;
  DriftOptions drift;
  bool brief = false;
  double half_life = 600;
  double horizon = 300;
};

Result<DriftData> load(const Options& options) {
  const auto functions = read_file(AT_FDCWD, options.functions, kMaxFile);
  if (!functions) return std::unexpected(functions.error());
  const auto costs = read_file(AT_FDCWD, options.costs, kMaxFile);
  if (!costs) return std::unexpected(costs.error());
  auto parsed = parse_functions(*functions, options.functions);
  if (!parsed) return std::unexpected(parsed.error());
  auto table = parse_costs(*costs, options.costs);
  if (!table) return std::unexpected(table.error());
  return DriftData(std::move(*parsed), *table, options.drift.tree.costs);
}

void print(const char* name, const DriftResult& result, const DriftResult& ideal) {
  std::printf("%-10s", name);
  for (const double ms : result.window_ms) std::printf(" %6.2f", ms);
  std::printf(" | %6.2f %+5.0f %% | %7.3f %7.3f | %5.1f %5.1f %6.1f\n", result.settled_ms,
              100 * (result.settled_ms / ideal.settled_ms - 1), result.import_ms_per_call,
              result.creation_ms_per_call, result.adoptions, result.created, result.mb);
}

/// What the controller takes of the event loop and of a worker, with all functions deployed.
void time_controller(const DriftData& data, const DriftOptions& options) {
  TreeOptions tree = options.tree;
  tree.budget_bytes = static_cast<std::uint64_t>(options.budget_mb * (1 << 20));
  TreeController controller(tree);
  (void)controller.set_packages(data.measured);
  std::vector<SetId> sets;
  for (const Function& function : data.functions) {
    sets.push_back(controller.deploy(function.packages));
  }
  Random random(1);
  Clock::time_point now{};
  const auto calls = [&](std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      now += std::chrono::milliseconds(20);
      const std::size_t below = 1 + random.below(sets.size());
      controller.note_call(sets[random.below(below)], "root", now);
    }
  };
  calls(10'000);
  const auto timed = [](auto&& work) {
    const auto start = Clock::now();
    work();
    return static_cast<double>(micros_between(start, Clock::now()));
  };
  std::shared_ptr<const TreeController::Snapshot> snapshot;
  std::shared_ptr<TreeController::Proposal> proposal;
  const double take = timed([&] { snapshot = controller.take(now); });
  const double plan = timed([&] { proposal = TreeController::plan(*snapshot); });
  const double decide = timed([&] { (void)controller.decide(std::move(proposal)); });
  constexpr std::size_t kCalls = 1'000'000;
  const double call = timed([&] { calls(kCalls); }) / kCalls * 1e3;
  const double react = timed([&] { (void)controller.react(now); });
  const double due = timed([&] { (void)controller.due(now); });
  const double shrink = timed([&] { (void)controller.set_budget(tree.budget_bytes / 2, now); });
  std::printf(
      "%zu functions: a call %.0f ns; take %.2f ms, plan %.0f ms (on a worker), decide %.2f ms, "
      "react %.2f ms, due %.2f ms, half the budget %.2f ms\n",
      data.functions.size(), call, take / 1e3, plan / 1e3, decide / 1e3, react / 1e3, due / 1e3,
      shrink / 1e3);
}

int run(int argc, char** argv) {
  Options options;
  DriftOptions& drift = options.drift;
  CLI::App app("The tree of zygotes under changing demand, ours against others'");
  app.add_option("--functions", options.functions, "functions, CSV: fn,direct,closure")->required();
  app.add_option("--costs", options.costs, "what packages cost, JSON")->required();
  app.add_option("--scenario", options.scenario,
                 "shuffle: all popularity changes; stationary: none does; hot: one function rises "
                 "to half of the calls")
      ->check(CLI::IsMember({"shuffle", "stationary", "hot"}))
      ->capture_default_str();
  app.add_option("--budget", drift.budget_mb, "MB")->capture_default_str();
  app.add_option("--zipf", drift.exponent, "exponent of popularity")->capture_default_str();
  app.add_option("--rate", drift.rate, "calls a second")->capture_default_str();
  app.add_option("--phase", drift.phase_calls, "calls until demand changes")->capture_default_str();
  app.add_option("--phases", drift.phases, "changes")->capture_default_str();
  app.add_option("--seeds", options.seeds, "runs")->capture_default_str();
  app.add_option("--first-seed", options.first_seed, "the others follow")->capture_default_str();
  app.add_option("--half-life", options.half_life, "s, of a call's weight")->capture_default_str();
  app.add_option("--horizon", options.horizon, "s, in which zygotes must pay")
      ->capture_default_str();
  app.add_flag("--only-ours", options.brief, "leave out the others but refitted");
  app.add_option("--margin", drift.tree.margin)->capture_default_str();
  app.add_option("--regret", drift.tree.regret)->capture_default_str();
  app.add_option("--prior", drift.tree.prior_calls)->capture_default_str();
  app.add_option("--moved", drift.tree.moved)->capture_default_str();
  app.add_option("--unseen", drift.tree.unseen)->capture_default_str();
  app.add_option("--surprise", drift.tree.demand.surprise)->capture_default_str();
  app.add_option("--past", drift.tree.demand.past)->capture_default_str();
  app.add_option("--start-ms", drift.tree.start_ms)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  drift.tree.demand.half_life = std::chrono::duration<double>(options.half_life);
  drift.tree.horizon = std::chrono::duration<double>(options.horizon);
  if (options.scenario == "stationary") drift.change = Change::kNone;
  if (options.scenario == "hot") drift.change = Change::kHotSpot;

  const auto data = load(options);
  if (!data) {
    std::fprintf(stderr, "pkgdrift: %s\n", data.error().describe().c_str());
    return 1;
  }
  std::printf("%s, Zipf %g, %g MB, %g calls/s, %zu calls a phase, %zu phases, seeds %llu to %llu\n",
              options.scenario.c_str(), drift.exponent, drift.budget_mb, drift.rate,
              drift.phase_calls, drift.phases, static_cast<unsigned long long>(options.first_seed),
              static_cast<unsigned long long>(options.first_seed + options.seeds - 1));
  std::printf(
      "mean service ms by 1000 calls of a phase | after 2000, against refitted | imports, all of "
      "creation, ms a call | adoptions, zygotes made a phase, MB\n");
  const auto mean = [&](Contender contender) {
    DriftResult sum;
    for (unsigned i = 0; i < options.seeds; ++i) {
      sum += replay(*data, drift, contender, options.first_seed + i);
    }
    sum /= options.seeds;
    return sum;
  };
  const DriftResult ideal = mean(Contender::kRefitted);
  if (!options.brief) {
    print("none", mean(Contender::kNone), ideal);
    print("SOCK", mean(Contender::kSock), ideal);
    print("frozen", mean(Contender::kFrozen), ideal);
  }
  print("ours", mean(Contender::kOurs), ideal);
  print("refitted", ideal, ideal);
  time_controller(*data, drift);
  return 0;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
