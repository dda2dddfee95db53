// Holds sock against its targets: what a call costs, and what it may cost at most, next to what the
// same work costs without sock in the same run. Within each round every row takes turns with its
// baselines, so that whatever else the machine does disturbs all of them alike; the figures shown
// are medians over the rounds.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/interrupt.h"
#include "bench/progress.h"
#include "bench/targets_growth.h"
#include "bench/targets_rows.h"
#include "bench/targets_table.h"

namespace sock::bench {
namespace {

constexpr const char* kLegend =
    "Baselines, p50 of the same run. B1: a small static C program that clones itself, exits, "
    "waits. B2: os.fork(),\nos._exit(0), waitpid of the warm interpreter with the same imports. "
    "Both paced as sock's calls are; tight: without\npauses. B6: the same handler with the same "
    "event in a warm process, JSON both ways.\n";

Result<> write_json(const TargetContext& context, const std::string& text) {
  if (context.options.json.empty()) return {};
  return replace_file(std::filesystem::absolute(context.options.json), text);
}

/// False when something could not be measured; missed targets are results like any other.
Result<bool> run_table(TargetContext& context) {
  TargetReport report;
  report.host = read_host();
  report.legend = kLegend;
  std::vector<std::unique_ptr<RowGroup>> groups;
  for (auto* make : {latency_rows, group_by_rows, load_rows, memory_rows}) {
    auto group = make(context);
    if (group->wanted()) groups.push_back(std::move(group));
  }
  for (const auto& group : groups) {
    if (auto prepared = group->prepare(); !prepared) return std::unexpected(prepared.error());
  }
  for (; report.rounds < context.options.rounds && !context.interrupted; ++report.rounds) {
    show_progress("round " + std::to_string(report.rounds + 1) + "/" +
                  std::to_string(context.options.rounds));
    for (const auto& group : groups) {
      if (auto measured = group->measure(); !measured) {
        context.samples.add_error("a round", measured.error().describe());
      }
    }
  }
  report.complete = !context.interrupted;
  for (const auto& group : groups) group->report(report.rows);
  std::ranges::stable_sort(report.rows, {}, &TargetRow::id);
  std::fputs(as_table(report, context.samples).c_str(), stdout);
  if (auto written = write_json(context, as_json(report, context.samples)); !written) {
    return std::unexpected(written.error());
  }
  if (auto stopped = context.stop(); !stopped) return std::unexpected(stopped.error());
  return context.samples.errors().empty();
}

/// False when something grew.
Result<bool> run_calls(TargetContext& context) {
  const auto report = run_growth(context);
  if (!report) return std::unexpected(report.error());
  std::fputs(report->table.c_str(), stdout);
  if (auto written = write_json(context, report->json); !written) {
    return std::unexpected(written.error());
  }
  return !report->grew;
}

int run(int argc, char** argv) {
  TargetOptions options;
  options.folder = SOCK_BENCH_FOLDER;
  if (auto folder = program_folder()) {
    options.sockd = *folder + "/sockd";
    options.clone_floor = *folder + "/clone_floor";
  }
  bool quick = false;
  double seconds = 3;
  unsigned pause_ms = 20;

  CLI::App app("sock against its targets, and against the same work without it");
  app.add_option("--sockd", options.sockd, "sockd to start")->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds; the median counts")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  app.add_option("--paced-calls", options.calls, "calls of each low-load row a round")
      ->check(CLI::Range(1U, 100'000U))
      ->capture_default_str();
  app.add_option("--pause", pause_ms, "milliseconds between those")
      ->check(CLI::Range(1U, 10'000U))
      ->capture_default_str();
  app.add_option("--seconds", seconds, "length of each measurement under load")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--rows", options.rows, "only these rows, as 1,4")->delimiter(',');
  app.add_option("--calls", options.growth,
                 "instead of the table: serve this many calls and fail if anything grew");
  app.add_flag("--quick", quick, "one short round; not for figures anyone should quote");
  app.add_option("--json", options.json, "also write the result here");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.rounds = 1;
    options.calls = 20;
    seconds = 0.5;
  }
  options.pause = Millis(pause_ms);
  options.window = Millis(static_cast<Millis::rep>(seconds * 1000));

  const auto& interrupted = catch_interrupts();

  const auto home = ScratchFolder::make();
  if (!home) {
    std::fprintf(stderr, "targets: %s\n", home.error().describe().c_str());
    return 1;
  }
  TargetContext context(std::move(options), home->path(), interrupted);
  const auto good = context.options.growth > 0 ? run_calls(context) : run_table(context);
  end_progress();
  if (!good) std::fprintf(stderr, "targets: %s\n", good.error().describe().c_str());
  if (interrupted) return 130;
  return good.value_or(false) ? 0 : 1;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
