#include "bench/targets_context.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "bench/http.h"
#include "bench/measuring_program.h"
#include "bench/progress.h"

namespace sock::bench {

namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* kPython = "/usr/bin/python3";
constexpr auto kZygotesWithin = std::chrono::seconds(60);

std::string config_of(Setup setup) {
  switch (setup) {
    case Setup::kStocked:
    case Setup::kLoad:
      return "";
    case Setup::kPackages:
      return "[zygotes]\nfunctions = false\n";
    case Setup::kOnDemand:
      return "[zygotes]\nfunctions = false\n[parked]\nmin = 0\nmax = 0\n";
  }
  return "";
}

/// Whether `function` has a ready zygote of its own, or none is to be had.
Result<bool> has_own(const json::object& zygotes, const std::string& function) {
  const auto* functions = zygotes.if_contains("functions");
  if (functions == nullptr || function.empty()) return true;
  for (const auto& zygote : functions->as_array()) {
    const auto& own = zygote.as_object();
    if (own.at("function").as_string() != function) continue;
    const auto& state = own.at("state").as_string();
    if (state == "failed") {
      return fail(Code::kInvalid, "zygote of " + function,
                  std::string(own.at("error").as_string()));
    }
    return state == "ready";
  }
  return false;
}

bool any_starting(const json::array& zygotes) {
  return std::ranges::any_of(zygotes, [](const json::value& zygote) {
    return zygote.as_object().at("state").as_string() == "starting";
  });
}

}  // namespace

std::string module_of(const std::string& packages) { return packages == "bare" ? "" : packages; }

Result<Instance> start_daemon(const TargetOptions& options, const fs::path& home,
                              const std::string& config) {
  static unsigned count = 0;
  InstanceSpec spec;
  spec.sockd = options.sockd;
  spec.home = home / std::to_string(++count);
  std::error_code error;
  fs::create_directory(spec.home, error);
  if (error) return fail_errno("create folder", spec.home, error.value());
  spec.config = spec.home / "sockd.toml";
  if (auto written = replace_file(spec.config, config); !written) {
    return std::unexpected(written.error());
  }
  return Instance::start(spec);
}

Result<json::object> zygotes_of(const std::string& socket) {
  const auto reply = request(socket, "GET", "/v1/zygotes", "", {}, Millis(10'000));
  if (!reply) return std::unexpected(reply.error());
  json::error_code error;
  auto value = json::parse(reply->body, error);
  auto* object = value.if_object();
  const auto* zygotes = object != nullptr ? object->if_contains("zygotes") : nullptr;
  if (error || zygotes == nullptr || !zygotes->is_array()) {
    return fail(Code::kInternal, "GET /v1/zygotes", "not what was expected: " + reply->body);
  }
  return std::move(*object);
}

Result<> await_zygotes(const std::string& socket, const std::string& function) {
  const auto deadline = Clock::now() + kZygotesWithin;
  for (;;) {
    const auto zygotes = zygotes_of(socket);
    if (!zygotes) return std::unexpected(zygotes.error());
    const auto own = has_own(*zygotes, function);
    if (!own) return std::unexpected(own.error());
    if (*own && !any_starting(zygotes->at("zygotes").as_array())) return {};
    if (Clock::now() > deadline) return fail(Code::kTimeout, "zygotes", "one is still starting");
    std::this_thread::sleep_for(Millis(50));  // between two looks; sockd tells nobody
  }
}

Result<Instance*> TargetContext::daemon(Setup setup) {
  if (const auto found = daemons_.find(setup); found != daemons_.end()) return &found->second;
  auto instance = start_daemon(options, home, config_of(setup));
  if (!instance) return std::unexpected(instance.error());
  const auto [at, added] = daemons_.emplace(setup, std::move(*instance));
  return &at->second;
}

Result<> TargetContext::deploy(Setup setup, const Deployment& function) {
  show_progress("deploying and warming " + function.name);
  const auto instance = daemon(setup);
  if (!instance) return std::unexpected(instance.error());
  const auto& socket = (*instance)->socket();
  if (auto warm = deploy_and_warm(socket, function); !warm) return warm;
  return await_zygotes(socket, function.keep_ready > 0 ? function.name : "");
}

Result<> TargetContext::paced(const std::string& key, Setup setup, PacedSpec spec) {
  show_progress(key + ": " + std::to_string(options.calls) + " paced calls");
  const auto instance = daemon(setup);
  if (!instance) return std::unexpected(instance.error());
  spec.socket = (*instance)->socket();
  spec.calls = options.calls;
  spec.pause = options.pause;
  spec.stop = &interrupted;
  auto round = drive_paced(spec);
  if (!round) {
    samples.add_error(key, round.error().describe());
  } else if (!interrupted) {
    samples.add_round(key, std::move(*round));
  }
  return {};
}

std::string TargetContext::pause_seconds() const {
  return std::to_string(static_cast<double>(options.pause.count()) / 1000.0);
}

Millis TargetContext::paced_window() const { return options.pause * std::min(options.calls, 100U); }

Result<> TargetContext::measure_clone() {
  show_progress("B1: clone, exit, wait");
  for (const bool paced : {true, false}) {
    MeasuringProgram program{options.clone_floor, {}, home, 1, options.window / 3};
    if (paced) {
      program.args = {"--pause", pause_seconds()};
      program.window = paced_window();
    }
    auto round = drive_program(program);
    if (!round) return std::unexpected(round.error());
    samples.add_round(paced ? "B1" : "B1.tight", std::move(*round));
  }
  return {};
}

Result<> TargetContext::fork_loop(const std::string& key, const std::string& packages,
                                  unsigned workers, bool paced) {
  if (interrupted) return {};
  show_progress(key + ": os.fork(), os._exit(0), waitpid");
  MeasuringProgram program{kPython,
                           {"-I", options.folder + "/fork_loop.py", "--empty"},
                           home,
                           workers,
                           workers == 1 ? options.window / 3 : options.window};
  const auto module = module_of(packages);
  if (!module.empty()) program.args.insert(program.args.end(), {"--package", module});
  if (paced) {
    program.args.insert(program.args.end(), {"--pause", pause_seconds()});
    program.window = paced_window();
  }
  auto round = drive_program(program);
  if (!round) return std::unexpected(round.error());
  samples.add_round(key, std::move(*round));
  return {};
}

Result<> TargetContext::measure_fork(const std::string& packages) {
  if (auto done = fork_loop("B2." + packages, packages, 1, true); !done) return done;
  return fork_loop("B2." + packages + ".tight", packages, 1, false);
}

Result<> TargetContext::measure_fork_throughput(const std::string& packages) {
  const auto processors = std::max(std::thread::hardware_concurrency(), 1U);
  return fork_loop("B2." + packages + ".all", packages, processors, false);
}

Result<> TargetContext::stop() {
  Result<> first;
  for (auto& [setup, instance] : daemons_) {
    auto stopped = instance.stop();
    if (!stopped && first) first = stopped;
  }
  daemons_.clear();
  return first;
}

}  // namespace sock::bench
