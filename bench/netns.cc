// What a sandbox pays for its network namespace: made for it, made with a link to the outside, or
// leased from the pool, with ever more starts at the same time; after "Agile Cold Starts for
// Scalable Serverless" (HotCloud '19), whose start-up stays flat because networks are made ahead.
//
// All of it happens in a network namespace of this program's own. Within each round all methods
// take turns at each concurrency, so that whatever else the machine does disturbs all of them
// alike; the figures shown are medians over the rounds.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/interrupt.h"
#include "bench/netns_costs.h"
#include "bench/netns_report.h"
#include "bench/netns_starts.h"
#include "bench/netns_sustained.h"
#include "bench/private_host.h"
#include "bench/progress.h"

namespace sock::bench {
namespace {

constexpr const char* kLegend =
    "own: from a starter's first instruction until its socket is bound, and the lease before; "
    "waiting for a processor\nis left out. all: from the moment that all were let go. none: the "
    "same without a network namespace. linked: a\nnew one with veth, bridge port, address, route "
    "and firewall, IPv4. Ranges are of the rounds.\n";

/// A namespace of the pool takes one descriptor, or two.
void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// In another order each round.
Result<> measure_round(NetnsBench& bench, Starters& starters, unsigned round) {
  for (const bool linked : {false, true}) {
    if (bench.interrupted) return {};
    show_progress("memory");
    if (auto done = measure_memory(bench, linked); !done) return done;
  }
  show_progress("leases");
  if (auto done = measure_leases(bench); !done) return done;
  for (const auto rate : kLeaseRates) {
    if (bench.interrupted) return {};
    show_progress("leases, " + (rate == 0 ? "as many as there are" : std::to_string(rate) + "/s"));
    if (auto done = measure_sustained(bench, rate); !done) return done;
  }
  auto order = bench.options.concurrency;
  if (round % 2 == 1) std::ranges::reverse(order);
  for (const auto concurrency : order) {
    for (std::size_t i = 0; i < kMethods.size(); ++i) {
      if (bench.interrupted) return {};
      const auto method = kMethods[(i + round) % kMethods.size()];
      show_progress("round " + std::to_string(round + 1) + "/" +
                    std::to_string(bench.options.rounds) + ": " + name_of(method) + ", " +
                    std::to_string(concurrency) + " at a time");
      if (auto done = measure_starts(bench, starters, method, concurrency); !done) return done;
    }
  }
  return {};
}

/// False when something that must be so is not; a missed time is a result like any other.
Result<bool> measure(const NetnsOptions& options, const std::atomic<bool>& interrupted) {
  TargetReport report;
  report.host = read_host();
  report.legend = kLegend;
  if (auto entered = enter_private_host(); !entered) return std::unexpected(entered.error());
  auto users = UserNamespace::make();
  if (!users) return std::unexpected(users.error());
  auto starters = Starters::fork(std::ranges::max(options.concurrency), *users);
  if (!starters) return std::unexpected(starters.error());
  NetnsBench bench{options, interrupted, std::move(*users), starters->namespaces(), {}};
  const auto before = links_here();
  if (!before) return std::unexpected(before.error());
  for (; report.rounds < options.rounds && !interrupted; ++report.rounds) {
    if (auto done = measure_round(bench, *starters, report.rounds); !done) {
      return std::unexpected(done.error());
    }
  }
  const auto after = links_here();
  if (!after) return std::unexpected(after.error());
  if (*before != *after) bench.samples.add_error("the run", "left links behind");
  if (auto settled = bench.settle(); !settled) return std::unexpected(settled.error());
  report.complete = !interrupted;
  report.rows = netns_rows(bench);
  end_progress();
  std::fputs((starts_table(bench) + "\n" + as_table(report, bench.samples)).c_str(), stdout);
  if (!options.json.empty()) {
    auto written =
        replace_file(std::filesystem::absolute(options.json), as_json(report, bench.samples));
    if (!written) return std::unexpected(written.error());
  }
  return bench.samples.errors().empty();
}

int run(int argc, char** argv) {
  NetnsOptions options;
  if (auto folder = program_folder()) options.helper = *folder + "/sock-netns";
  bool quick = false;

  CLI::App app("What a sandbox pays for its network namespace, with ever more starts at a time");
  app.add_option("--helper", options.helper, "sock-netns")->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds; the median counts")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  app.add_option("--concurrency", options.concurrency, "starts at the same time")
      ->delimiter(',')
      ->check(CLI::Range(1U, 512U));
  app.add_option("--starts", options.starts, "of each method at each concurrency a round")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  app.add_option("--leases", options.leases, "leases that are timed alone, a round")
      ->check(CLI::Range(1U, 4000U))
      ->capture_default_str();
  app.add_option("--namespaces", options.namespaces, "whose memory is measured")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of leases at each rate, a round")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_flag("--quick", quick, "one short round; not for figures anyone should quote");
  app.add_option("--json", options.json, "also write the result here");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.rounds = 1;
    options.starts = 64;
    options.namespaces = 128;
    options.seconds = 0.5;
  }

  const auto& interrupted = catch_interrupts();
  raise_descriptor_limit();

  const auto good = measure(options, interrupted);
  end_progress();
  if (!good) std::fprintf(stderr, "netns: %s\n", good.error().describe().c_str());
  if (interrupted) return 130;
  return good.value_or(false) ? 0 : 1;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
