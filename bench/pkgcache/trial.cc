#include "bench/pkgcache/trial.h"

#include "base/file.h"
#include "bench/instance.h"
#include "bench/load.h"
#include "bench/pkgcache/live_tree.h"
#include "bench/pkgcache/replay.h"
#include "bench/pkgcache/synthetic_packages.h"
#include "bench/progress.h"
#include "pkgcache/planner/judge.h"

namespace sock::bench {
namespace {

constexpr Millis kDeployWithin{300'000};  // pip resolves, then installs dozens of wheels
constexpr Millis kSettleWithin{300'000};  // hundreds of packages may have to be measured

Result<Instance> start(const TrialSpec& spec, const Contender& contender) {
  const auto config = spec.home / "sockd.toml";
  const ConfigSpec options{.wheels = spec.wheels,
                           .budget_mb = spec.budget_mb,
                           .history = spec.calls.size() + spec.learning.size() + 1};
  if (auto written = replace_file(config, config_of(contender, spec.sample, options)); !written) {
    return std::unexpected(written.error());
  }
  return Instance::start({.sockd = spec.sockd, .home = spec.home, .config = config.string()});
}

/// A handler that needs all packages of the function.
Deployment deployment_of(const pkgcache::Function& function) {
  std::string modules;
  std::vector<std::string> requirements;
  for (const auto& package : function.packages) {
    modules += (modules.empty() ? "" : ", ") + module_of(package.name);
    requirements.push_back(package.to_string());
  }
  return {.name = function.name,
          .source = noop_source(modules),
          .requirements = std::move(requirements),
          .within = kDeployWithin};
}

Replayed replay_calls(const TrialSpec& spec, const Instance& instance,
                      std::span<const std::size_t> calls) {
  return replay({.socket = instance.socket(),
                 .functions = spec.sample.functions,
                 .calls = calls,
                 .clients = spec.clients,
                 .stop = &spec.interrupted});
}

void add_times(Samples& samples, const std::string& key, const pkgcache::ServiceTimes& times) {
  samples.add(key + "mean_ms", times.mean());
  samples.add(key + "p50_ms", times.percentile(0.50));
  samples.add(key + "p99_ms", times.percentile(0.99));
}

void add_calls(const Sample& sample, const std::string& name, const Replayed& replayed,
               Samples& samples) {
  Round kinds;
  kinds.errors = replayed.errors;
  pkgcache::ServiceTimes service;
  pkgcache::ServiceTimes latency;
  pkgcache::ServiceTimes cpu;
  pkgcache::ServiceTimes modelled;
  pkgcache::ServiceTimes beyond_complete;
  pkgcache::ServiceTimes beyond_partial;
  double held = 0;
  double wanted = 0;
  for (const auto& call : replayed.calls) {
    ++kinds.starts[call.start];
    service.add(call.service_ms, 1);
    latency.add(call.latency_ms, 1);
    cpu.add(call.cpu_ms, 1);
    const auto& function = sample.functions[call.function];
    const auto loaded = held_of(function, call.zygote);
    const double model_ms = sample.costs.service_ms(sample.universe.set_of(function.packages),
                                                    sample.universe.set_of(loaded));
    modelled.add(model_ms, 1);
    auto& beyond = loaded.size() == function.packages.size() ? beyond_complete : beyond_partial;
    beyond.add(call.service_ms - model_ms, 1);
    held += static_cast<double>(loaded.size());
    wanted += static_cast<double>(function.packages.size());
  }
  samples.add_round(name, std::move(kinds));
  if (replayed.calls.empty()) return;
  add_times(samples, name + ".service_", service);
  add_times(samples, name + ".latency_", latency);
  add_times(samples, name + ".call_cpu_", cpu);
  samples.add(name + ".served_mean_ms", modelled.mean());
  samples.add(name + ".beyond_complete_ms", beyond_complete.percentile(0.50));
  samples.add(name + ".beyond_partial_ms", beyond_partial.percentile(0.50));
  samples.add(name + ".hit_ratio", wanted > 0 ? held / wanted : 0);
}

void add_tree(const std::string& name, const LiveTree& tree, Samples& samples) {
  samples.add(name + ".zygotes", static_cast<double>(tree.ready));
  samples.add(name + ".api_memory_mb", tree.memory_mb);
  samples.add(name + ".creation_ms", tree.creation_ms);
  for (const auto& why : tree.failed) samples.add_error(name, "zygote " + why);
}

}  // namespace

Result<> deploy_all(const TrialSpec& spec, Samples& samples) {
  auto instance = start(spec, {.name = "none", .tree = {{spec.sample.universe.empty_set(), 0, 0}}});
  if (!instance) return std::unexpected(instance.error());
  std::size_t done = 0;
  for (const auto& function : spec.sample.functions) {
    if (spec.interrupted) break;
    show_progress("deploying " + std::to_string(++done) + "/" +
                  std::to_string(spec.sample.functions.size()) + ": " + function.name + ", " +
                  std::to_string(function.packages.size()) + " packages");
    const auto began = Clock::now();
    if (auto deployed = deploy(instance->socket(), deployment_of(function)); !deployed) {
      return deployed;
    }
    samples.add("deploy.ms", static_cast<double>(micros_between(began, Clock::now())) / 1000);
  }
  return instance->stop();
}

Result<> run_trial(const TrialSpec& spec, const Contender& contender, Samples& samples) {
  const std::string& name = contender.name;
  show_progress(name + ": starting sockd, awaiting its zygotes");
  auto instance = start(spec, contender);
  if (!instance) return std::unexpected(instance.error());
  // One that adapts has the root, and what it thinks of the functions before they are called.
  const std::size_t zygotes = contender.adaptive ? 1 : contender.tree.size();
  auto tree = await_settled(*instance, zygotes, kSettleWithin, spec.interrupted);
  if (!tree) return std::unexpected(tree.error());
  if (contender.adaptive && !spec.interrupted) {
    show_progress(name + ": learning from " + std::to_string(spec.learning.size()) + " calls");
    const auto before = instance->cpu_us();
    const auto learnt = replay_calls(spec, *instance, spec.learning);
    add_calls(spec.sample, name + ".learning", learnt, samples);
    tree = await_settled(*instance, zygotes, kSettleWithin, spec.interrupted);
    if (!tree) return std::unexpected(tree.error());
    const auto after = instance->cpu_us();
    if (before && after) samples.add(name + ".learning_cpu_ms", (*after - *before) / 1000);
  }
  if (spec.interrupted) return instance->stop();

  show_progress(name + ": " + std::to_string(spec.calls.size()) + " calls");
  const auto before = instance->cpu_us();
  const auto replayed = replay_calls(spec, *instance, spec.calls);
  const auto after = instance->cpu_us();
  if (before && after && !replayed.calls.empty()) {
    const auto calls = static_cast<double>(replayed.calls.size());
    samples.add(name + ".all_cpu_ms", (*after - *before) / 1000 / calls);
  }
  if (!spec.interrupted) {
    add_calls(spec.sample, name, replayed, samples);
    tree = read_live_tree(instance->socket());
    if (!tree) return std::unexpected(tree.error());
    add_tree(name, *tree, samples);
    const auto memory = memory_of(*instance, *tree);
    samples.add(name + ".memory_mb", memory.without_own);
    samples.add(name + ".memory_with_clones_mb", memory.all);
  }
  return instance->stop();
}

}  // namespace sock::bench
