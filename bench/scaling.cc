// How sockd scales from one client to many, next to other ways of giving each call a fresh
// interpreter. All systems are measured in turn within each round, so that whatever else the
// machine does disturbs all of them alike; the figures shown are medians over the rounds.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/spawn.h"
#include "bench/baseline.h"
#include "bench/instance.h"
#include "bench/interrupt.h"
#include "bench/load.h"
#include "bench/progress.h"
#include "bench/report.h"

namespace sock::bench {
namespace {

struct Options {
  std::string sockd;
  std::string socket;
  std::string config;
  std::string json;
  std::string fork_loop;
  std::vector<unsigned> clients{1, 2, 4, 8, 16, 32, 64};
  std::vector<std::string> packages{"bare", "numpy", "pandas"};
  double seconds = 3;
  unsigned rounds = 3;
  bool baselines = true;
};

struct Baseline {
  std::string system;
  std::string packages;
  std::optional<Command> command;  ///< none: the fork loop
};

/// "bare" is the interpreter alone.
std::string module_of(const std::string& packages) { return packages == "bare" ? "" : packages; }

class Benchmark {
 public:
  Benchmark(Options options, const std::atomic<bool>& interrupted)
      : options_(std::move(options)), interrupted_(interrupted) {}

  Result<> run() {
    auto home = ScratchFolder::make();
    if (!home) return std::unexpected(home.error());
    home_ = home->path();
    if (auto prepared = prepare_sockd(); !prepared) return prepared;
    if (options_.baselines) {
      if (auto prepared = prepare_baselines(); !prepared) return prepared;
    }
    report_.window_s = options_.seconds;
    for (unsigned round = 1; round <= options_.rounds && !interrupted_; ++round) {
      if (auto measured = measure(round); !measured) return measured;
    }
    report_.complete = !interrupted_;
    std::fputs(as_table(report_).c_str(), stdout);
    if (!options_.json.empty()) {
      if (auto written = replace_file(std::filesystem::absolute(options_.json), as_json(report_));
          !written)
        return written;
    }
    return instance_ ? instance_->stop() : Result<>{};
  }

 private:
  Result<> prepare_sockd() {
    socket_ = options_.socket;
    if (socket_.empty()) {
      InstanceSpec spec;
      spec.sockd = options_.sockd;
      spec.home = home_;
      spec.config = options_.config;
      show_progress("starting " + options_.sockd);
      auto instance = Instance::start(spec);
      if (!instance) return std::unexpected(instance.error());
      instance_.emplace(std::move(*instance));
      socket_ = instance_->socket();
    }
    for (const auto& packages : options_.packages) {
      show_progress("deploying and warming " + function_of(packages));
      const auto module = module_of(packages);
      std::vector<std::string> requirements;
      if (!module.empty()) requirements.push_back(module);
      auto ready = deploy_and_warm(socket_, {.name = function_of(packages),
                                             .source = noop_source(module),
                                             .requirements = requirements});
      if (!ready) return ready;
    }
    return {};
  }

  Result<> prepare_baselines() {
    for (const auto& packages : options_.packages) {
      const auto module = module_of(packages);
      auto crun = crun_command(module, home_);
      if (!crun) return std::unexpected(crun.error());
      baselines_.push_back({"os.fork()", packages, std::nullopt});
      add_baseline("python3", packages, python_command(module));
      add_baseline("bwrap", packages, bwrap_command(module));
      add_baseline("crun run", packages, std::move(*crun));
    }
    return {};
  }

  /// Takes it only if it works here.
  void add_baseline(const std::string& system, const std::string& packages, Command command) {
    if (report_.left_out.contains(system)) return;
    if (::access(command.program.c_str(), X_OK) != 0) {
      report_.left_out[system] = "not installed";
      return;
    }
    BaselineSpec once;
    once.window = Millis(0);
    const auto trial = drive_command(command, once);
    if (trial.errors.empty()) {
      baselines_.push_back({system, packages, std::move(command)});
    } else {
      report_.left_out[system] = "does not work here: " + trial.errors.begin()->first;
    }
  }

  Result<> measure(unsigned round) {
    const auto label = "round " + std::to_string(round) + "/" + std::to_string(options_.rounds);
    for (const auto clients : options_.clients) {
      for (const auto& packages : options_.packages) {
        if (interrupted_) return {};
        show_progress(label + ": sock " + packages + ", " + std::to_string(clients) + " clients");
        LoadSpec spec;
        spec.socket = socket_;
        spec.function = function_of(packages);
        spec.clients = clients;
        spec.window = window();
        spec.stop = &interrupted_;
        if (instance_) spec.daemon_cpu = [this] { return instance_->cpu_us(); };
        add("sock", packages, clients, drive(spec));
      }
    }
    for (const auto workers : baseline_workers()) {
      for (const auto& baseline : baselines_) {
        if (interrupted_) return {};
        show_progress(label + ": " + baseline.system + " " + baseline.packages + ", " +
                      std::to_string(workers) + " at a time");
        BaselineSpec spec;
        spec.workers = workers;
        spec.window = window();
        spec.stop = &interrupted_;
        if (baseline.command) {
          add(baseline.system, baseline.packages, workers, drive_command(*baseline.command, spec));
          continue;
        }
        auto forked =
            drive_fork_loop(options_.fork_loop, module_of(baseline.packages), home_, spec);
        if (!forked) return std::unexpected(forked.error());
        add(baseline.system, baseline.packages, workers, std::move(*forked));
      }
    }
    return {};
  }

  /// Baselines gain nothing from more workers than processors.
  static std::vector<unsigned> baseline_workers() {
    const auto processors = std::max(std::thread::hardware_concurrency(), 1U);
    if (processors == 1) return {1};
    return {1, processors};
  }

  void add(const std::string& system, const std::string& packages, unsigned clients, Round round) {
    if (interrupted_) return;  // a window cut short says nothing
    auto& series = report_.at(system, packages, clients);
    for (const auto& [kind, count] : round.errors) series.errors[kind] += count;
    for (const auto& [kind, count] : round.starts) series.starts[kind] += count;
    series.rounds.push_back(figures_of(std::move(round)));
  }

  [[nodiscard]] Millis window() const {
    return Millis(static_cast<Millis::rep>(options_.seconds * 1000));
  }

  static std::string function_of(const std::string& packages) { return "bench-" + packages; }

  Options options_;
  const std::atomic<bool>& interrupted_;
  std::filesystem::path home_;
  std::string socket_;
  std::optional<Instance> instance_;
  std::vector<Baseline> baselines_;
  Report report_;
};

int run(int argc, char** argv) {
  Options options;
  if (auto folder = program_folder()) options.sockd = *folder + "/sockd";
  options.fork_loop = SOCK_BENCH_FOLDER "/fork_loop.py";

  CLI::App app("Latency, throughput and CPU per call of sockd from one client to many");
  app.add_option("--sockd", options.sockd, "sockd to start for the benchmark")
      ->capture_default_str();
  app.add_option("--socket", options.socket, "use the sockd that listens here instead");
  app.add_option("--config", options.config, "sockd.toml for the sockd it starts");
  app.add_option("--clients", options.clients, "numbers of clients")->delimiter(',');
  app.add_option("--packages", options.packages, "bare, or importable packages")->delimiter(',');
  app.add_option("--seconds", options.seconds, "length of each measurement")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  app.add_option("--rounds", options.rounds, "rounds; the median counts")
      ->check(CLI::Range(1U, 100U))
      ->capture_default_str();
  app.add_option("--json", options.json, "also write the result here");
  app.add_option("--fork-loop", options.fork_loop, "path of fork_loop.py")->capture_default_str();
  app.add_flag("!--no-baselines", options.baselines, "measure sockd alone");
  CLI11_PARSE(app, argc, argv);

  const auto& interrupted = catch_interrupts();

  const auto result = Benchmark(std::move(options), interrupted).run();
  end_progress();
  if (!result) {
    std::fprintf(stderr, "scaling: %s\n", result.error().describe().c_str());
    return 1;
  }
  return interrupted ? 130 : 0;
}

}  // namespace
}  // namespace sock::bench

int main(int argc, char** argv) { return sock::bench::run(argc, argv); }
