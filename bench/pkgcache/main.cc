// What trees of zygotes are worth when real calls meet real zygotes, next to what the cost model
// says they are: ours, ForkLift's, SOCK's, and none.
//
// The packages are synthetic: each takes on import the CPU time and the memory that the data set
// has for a real one. They are made as wheels, installed by sockd, and functions that need them are
// called over its API, with the same functions, calls and memory budget for every contender.

#include <fcntl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <optional>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/instance.h"
#include "bench/interrupt.h"
#include "bench/pkgcache/cold_path.h"
#include "bench/pkgcache/report.h"
#include "bench/pkgcache/sample.h"
#include "bench/pkgcache/synthetic_packages.h"
#include "bench/pkgcache/trial.h"
#include "bench/progress.h"
#include "pkgcache/planner/costs_text.h"
#include "pkgcache/planner/functions_text.h"

namespace sock::bench {
namespace {

constexpr std::size_t kMaxFile = std::size_t{64} << 20U;

constexpr const char* kLegend =
    "expected: by the cost model, clone included, of the tree as given; adaptive: what ours "
    "expects\n"
    "service: create_us + init_us of the calls' records; latency: at the client\n"
    "CPU: of the call's own sandbox, which other work on the machine disturbs least\n"
    "model, as served: what the model says of the zygotes that did serve, by sockd's own lookup\n"
    "MB executed: PSS of zygotes and parked clones less the clones' own pages and less the root's\n"
    "PSS: the API's memory_bytes less the root's; parked clones bear a part of these pages\n"
    "with clones: PSS of all zygotes and parked clones, the root too\n"
    "creation: imports of the zygotes that stand, spread over the calls\n";

struct Options {
  std::string sockd;
  std::string functions = SOCK_BENCH_DATA "/functions.csv";
  std::string costs = SOCK_BENCH_DATA "/package_costs.json";
  std::string json;
  std::vector<std::string> only;
  SampleOptions sample;
  std::size_t calls = 600;
  double budget_mb = 50;
  unsigned clients = 1;
  unsigned rounds = 1;
  bool expect_only = false;
  bool cold_path = true;
};

Result<Sample> load_sample(const Options& options) {
  const auto functions = read_file(AT_FDCWD, options.functions, kMaxFile);
  if (!functions) return std::unexpected(functions.error());
  const auto costs = read_file(AT_FDCWD, options.costs, kMaxFile);
  if (!costs) return std::unexpected(costs.error());
  const auto parsed = pkgcache::parse_functions(*functions, options.functions);
  if (!parsed) return std::unexpected(parsed.error());
  const auto table = pkgcache::parse_costs(*costs, options.costs);
  if (!table) return std::unexpected(table.error());
  return draw_sample(*parsed, *table, options.sample);
}

class Benchmark {
 public:
  Benchmark(Options options, const std::atomic<bool>& interrupted)
      : options_(std::move(options)), interrupted_(interrupted) {}

  /// False when something could not be measured; a missed target is a result like any other.
  Result<bool> run() {
    report_.host = read_host();
    report_.legend = kLegend;
    auto sample = load_sample(options_);
    if (!sample) return std::unexpected(sample.error());
    calls_ = draw_calls(sample->functions, options_.calls, options_.sample.seed + 1);
    plan(*sample);
    if (!options_.expect_only) {
      if (auto executed = execute(*sample); !executed) return std::unexpected(executed.error());
    }
    report_.complete = !interrupted_;
    return print(*sample);
  }

 private:
  void plan(const Sample& sample) {
    for (auto& contender : plan_contenders(sample, options_.budget_mb, options_.sample.seed)) {
      if (!options_.only.empty() &&
          std::ranges::find(options_.only, contender.name) == options_.only.end()) {
        continue;
      }
      add_expectation(contender.name, expect(sample, contender.tree, calls_), samples_);
      contenders_.push_back(std::move(contender));
    }
  }

  Result<> execute(const Sample& sample) {
    const auto home = ScratchFolder::make();
    if (!home) return std::unexpected(home.error());
    const auto wheels = home->path() / "wheels";
    const auto cold = home->path() / "cold";
    for (const auto& folder : {wheels, cold}) {
      std::error_code error;
      if (!std::filesystem::create_directory(folder, error)) {
        return fail_errno("mkdir", folder.string(), error.value());
      }
    }
    if (auto written = write_wheels(wheels, sample); !written) return written;
    const auto learning = draw_calls(sample.functions, options_.calls, options_.sample.seed + 2);
    const TrialSpec spec{.sockd = options_.sockd,
                         .home = home->path(),
                         .wheels = wheels,
                         .sample = sample,
                         .calls = calls_,
                         .learning = learning,
                         .budget_mb = options_.budget_mb,
                         .clients = options_.clients,
                         .interrupted = interrupted_};
    if (auto deployed = deploy_all(spec, samples_); !deployed) return deployed;
    auto order = contenders_;
    for (; report_.rounds < options_.rounds && !interrupted_; ++report_.rounds) {
      if (report_.rounds > 0) std::ranges::reverse(order);
      for (const auto& contender : order) {
        if (interrupted_) return {};
        if (auto done = run_trial(spec, contender, samples_); !done) {
          samples_.add_error(contender.name, done.error().describe());
        }
      }
    }
    if (options_.cold_path && !interrupted_) {
      auto path = run_cold_path(options_.sockd, cold, interrupted_);
      if (path) {
        cold_ = std::move(*path);
      } else {
        samples_.add_error("cold path", path.error().describe());
      }
    }
    return {};
  }

  Result<bool> print(const Sample& sample) {
    end_progress();
    report_.rows = pkgcache_rows(samples_, options_.budget_mb, cold_);
    std::string text =
        std::to_string(sample.functions.size()) + " functions, " +
        std::to_string(sample.universe.size()) + " packages, " + std::to_string(calls_.size()) +
        " calls, Zipf " + in_digits(options_.sample.zipf, 1) + ", " +
        std::to_string(options_.clients) + " clients, budget " + in_digits(options_.budget_mb) +
        " MB, seed " + std::to_string(options_.sample.seed) + "\n\n";
    text += contender_tables(contenders_, calls_.size(), samples_) + "\n";
    if (cold_) text += describe(*cold_) + "\n";
    if (const auto deploy_ms = samples_.median("deploy.ms")) {
      const auto slowest = samples_.range("deploy.ms");
      text += "deploying a function, packages installed: median " + in_digits(deploy_ms) +
              " ms, at most " + in_digits(slowest->second) + " ms\n\n";
    }
    std::fputs((text + as_table(report_, samples_)).c_str(), stdout);
    if (!options_.json.empty()) {
      const auto written =
          replace_file(std::filesystem::absolute(options_.json), as_json(report_, samples_));
      if (!written) return std::unexpected(written.error());
    }
    return samples_.errors().empty();
  }

  Options options_;
  const std::atomic<bool>& interrupted_;
  std::vector<std::size_t> calls_;
  std::vector<Contender> contenders_;
  std::optional<ColdPath> cold_;
  Samples samples_;
  TargetReport report_;
};

int run(int argc, char** argv) {
  Options options;
  if (auto folder = program_folder()) options.sockd = *folder + "/sockd";
  bool quick = false;

  CLI::App app("Trees of zygotes executed, next to what the cost model expects of them");
  app.add_option("--sockd", options.sockd, "sockd to start")->capture_default_str();
  app.add_option("--functions-file", options.functions, "functions, CSV: fn,direct,closure")
      ->capture_default_str();
  app.add_option("--costs", options.costs, "what packages cost, JSON")->capture_default_str();
  app.add_option("--functions", options.sample.functions, "functions drawn from the file")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  app.add_option("--calls", options.calls, "calls to each contender")
      ->check(CLI::Range(1U, 100'000U))
      ->capture_default_str();
  app.add_option("--budget", options.budget_mb, "MB of the zygotes beside the root")
      ->check(CLI::Range(1.0, 10'000.0))
      ->capture_default_str();
  app.add_option("--zipf", options.sample.zipf, "exponent of popularity; 0 is equal")
      ->check(CLI::Range(0.0, 10.0))
      ->capture_default_str();
  app.add_option("--seed", options.sample.seed, "of the functions, their ranks and the calls")
      ->capture_default_str();
  app.add_option("--node-mb", options.sample.parameters.node_mb,
                 "what the model takes a zygote to cost by itself, MB")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  app.add_option("--clients", options.clients, "that call at a time")
      ->check(CLI::Range(1U, 64U))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds; the median counts")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  app.add_option("--only", options.only, "contenders: none,forklift,sock,ours,adaptive")
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "forklift", "sock", "ours", "adaptive"}));
  app.add_flag("--expect", options.expect_only, "only what the model expects; starts nothing");
  app.add_flag("!--no-cold-path", options.cold_path, "without the cold path");
  app.add_flag("--quick", quick, "few functions and calls; not for figures anyone should quote");
  app.add_option("--json", options.json, "also write the result here");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    options.sample.functions = 6;
    options.calls = 40;
    options.rounds = 1;
    options.budget_mb = 10;
  }

  const auto& interrupted = catch_interrupts();
  const auto good = Benchmark(std::move(options), interrupted).run();
  end_progress();
  if (!good) std::fprintf(stderr, "pkgcache-bench: %s\n", good.error().describe().c_str());
  if (interrupted) return 130;
  return good.value_or(false) ? 0 : 1;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
