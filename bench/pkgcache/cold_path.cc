#include "bench/pkgcache/cold_path.h"

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "bench/instance.h"
#include "bench/load.h"
#include "bench/pkgcache/live_tree.h"
#include "bench/progress.h"

namespace sock::bench {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFunction = "cold";
constexpr const char* kRootAlone =
    "[zygotes]\nplan = \"configured\"\nfunctions = false\nsets = []\n";
constexpr const char* kSomeZygotes =
    "[zygotes]\nfunctions = false\nsets = [[\"numpy\"], [\"numpy\", \"pandas\"]]\n";
constexpr std::size_t kSomeZygotesCount = 3;
constexpr Millis kSettleWithin{120'000};
constexpr Millis kZygoteWithin{60'000};

struct Need {
  std::vector<std::string> packages;
  std::string modules;
};

/// What beside pandas, the best first: the host may lack some.
const std::vector<Need>& needs() {
  static const std::vector<Need> all{
      {{"pandas", "scikit-learn"}, "pandas, sklearn"},
      {{"pandas", "matplotlib"}, "pandas, matplotlib"},
      {{"pandas", "pillow", "jinja2"}, "pandas, PIL.Image, jinja2"},
  };
  return all;
}

Result<ServedCall> deploy_and_call(const std::string& socket, const Need& need) {
  const Deployment function{
      .name = kFunction, .source = noop_source(need.modules), .requirements = need.packages};
  if (auto deployed = deploy(socket, function); !deployed) {
    return std::unexpected(deployed.error());
  }
  return call_once(socket, kFunction);
}

Result<Instance> start(const std::string& sockd, const fs::path& home, const char* config) {
  const auto file = home / "sockd.toml";
  if (auto written = replace_file(file, config); !written) return std::unexpected(written.error());
  return Instance::start({.sockd = sockd, .home = home, .config = file.string()});
}

/// Finds what works here, by a daemon with the root alone, and what its first call takes there.
Result<Need> call_from_root(const std::string& sockd, const fs::path& home,
                            const std::atomic<bool>& interrupted, ColdPath& out) {
  auto instance = start(sockd, home, kRootAlone);
  if (!instance) return std::unexpected(instance.error());
  auto settled = await_settled(*instance, 1, kSettleWithin, interrupted);
  if (!settled) return std::unexpected(settled.error());
  Error last;
  for (const Need& need : needs()) {
    auto call = deploy_and_call(instance->socket(), need);
    if (!call) {
      last = call.error();
      continue;
    }
    out.from_root = std::move(*call);
    if (auto stopped = instance->stop(); !stopped) return std::unexpected(stopped.error());
    return need;
  }
  return std::unexpected(last);
}

/// Whether a zygote has all packages of these names, and so what they need.
bool holds_all(const LiveTree& tree, const std::vector<std::string>& names) {
  const auto holds = [](const std::vector<std::string>& packages, const std::string& name) {
    return std::ranges::any_of(
        packages, [&](const std::string& package) { return package.starts_with(name + "=="); });
  };
  return std::ranges::any_of(tree.packages, [&](const auto& packages) {
    return std::ranges::all_of(names, [&](const auto& name) { return holds(packages, name); });
  });
}

/// Milliseconds until there is a zygote with all packages; -1 when none comes.
Result<double> await_zygote_with(const Instance& instance, const std::vector<std::string>& names,
                                 const std::atomic<bool>& interrupted) {
  const auto began = Clock::now();
  while (Clock::now() < began + kZygoteWithin && !interrupted) {
    const auto tree = read_live_tree(instance.socket());
    if (!tree) return std::unexpected(tree.error());
    const auto micros = micros_between(began, Clock::now());
    if (holds_all(*tree, names)) return static_cast<double>(micros) / 1000;
    std::this_thread::sleep_for(Millis(50));
  }
  return -1;
}

}  // namespace

Result<ColdPath> run_cold_path(const std::string& sockd, const fs::path& home,
                               const std::atomic<bool>& interrupted) {
  show_progress("cold path");
  ColdPath out;
  const fs::path bare = home / "bare";
  const fs::path some = home / "some";
  std::error_code error;
  fs::create_directory(bare, error);
  fs::create_directory(some, error);
  const auto need = call_from_root(sockd, bare, interrupted, out);
  if (!need) return std::unexpected(need.error());
  out.packages = need->packages;
  auto instance = start(sockd, some, kSomeZygotes);
  if (!instance) return std::unexpected(instance.error());
  const auto settled = await_settled(*instance, kSomeZygotesCount, kSettleWithin, interrupted);
  if (!settled) return std::unexpected(settled.error());
  auto first = deploy_and_call(instance->socket(), *need);
  if (!first) return std::unexpected(first.error());
  out.first = std::move(*first);
  const auto ready = await_zygote_with(*instance, need->packages, interrupted);
  if (!ready) return std::unexpected(ready.error());
  out.zygote_ms = *ready;
  auto second = call_once(instance->socket(), kFunction);
  if (!second) return std::unexpected(second.error());
  out.second = std::move(*second);
  if (auto stopped = instance->stop(); !stopped) return std::unexpected(stopped.error());
  return out;
}

}  // namespace sock::bench
