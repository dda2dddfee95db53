#include <algorithm>

#include "bench/cpu_split.h"
#include "bench/load.h"
#include "bench/progress.h"
#include "bench/targets_rows.h"

namespace sock::bench {
namespace {

constexpr unsigned kClients[] = {4, 8, 16};
constexpr unsigned kInFlight = 100;
/// Of row 6: many times a call's length, for only calls that begin and end in the window count.
constexpr Millis kLeastWindow{2000};

/// Calls per second that are asked for, in the order of kPackageSets.
constexpr double kWanted[] = {2000, 1700, 1300};

struct Part {
  const char* name;
  double CpuSplit::*field;
};
constexpr Part kParts[] = {{"sockd", &CpuSplit::sockd},          {"sock-init", &CpuSplit::init},
                           {"sock-netns", &CpuSplit::netns},     {"zygotes", &CpuSplit::zygotes},
                           {"sandboxes", &CpuSplit::sandboxes},  {"client", &CpuSplit::client},
                           {"kernel threads", &CpuSplit::kernel}};
constexpr const char* kOther = "other";

/// Answers kFreshAnswer, after 50 ms.
constexpr const char* kSleeper = R"(import time

calls = 0


def handler(event, context):
    global calls
    calls += 1
    time.sleep(0.05)
    return calls
)";

class LoadRows : public RowGroup {
 public:
  explicit LoadRows(TargetContext& context) : context_(context) {}

  [[nodiscard]] bool wanted() const override { return context_.wants(5) || context_.wants(6); }

  Result<> prepare() override {
    for (const std::string packages : kPackageSets) {
      if (!context_.wants(5)) break;
      const auto module = module_of(packages);
      Deployment function;
      function.name = "noop-" + packages;
      function.source = noop_source(module);
      if (!module.empty()) function.requirements = {module};
      if (auto done = context_.deploy(Setup::kLoad, function); !done) return done;
    }
    if (!context_.wants(6)) return {};
    return context_.deploy(Setup::kLoad,
                           {.name = "sleeper", .source = kSleeper, .requirements = {}});
  }

  Result<> measure() override {
    for (const std::string packages : kPackageSets) {
      if (!context_.wants(5)) break;
      if (auto done = context_.measure_fork_throughput(packages); !done) return done;
      for (const auto clients : kClients) {
        auto done =
            flood(key_of(packages, clients), "noop-" + packages, clients, context_.options.window);
        if (!done) return done;
      }
    }
    for (const auto clients : {1U, kInFlight}) {
      if (!context_.wants(6)) break;
      const auto key = "6." + std::to_string(clients);
      const auto window = std::max(context_.options.window, kLeastWindow);
      if (auto done = flood(key, "sleeper", clients, window); !done) return done;
    }
    return {};
  }

  void report(std::vector<TargetRow>& rows) const override {
    if (context_.wants(5)) {
      for (std::size_t i = 0; i < kPackageSets.size(); ++i) {
        add_throughput(rows, kPackageSets[i], kWanted[i]);
      }
    }
    if (context_.wants(6)) add_flatness(rows);
  }

 private:
  static std::string key_of(const std::string& packages, unsigned clients) {
    return "5." + packages + "." + std::to_string(clients);
  }

  /// A closed loop, and who used the processors meanwhile.
  Result<> flood(const std::string& key, const std::string& function, unsigned clients,
                 Millis window) {
    if (context_.interrupted) return {};
    show_progress(key + ": " + std::to_string(clients) + " clients");
    const auto instance = context_.daemon(Setup::kLoad);
    if (!instance) return std::unexpected(instance.error());
    LoadSpec spec;
    spec.socket = (*instance)->socket();
    spec.function = function;
    spec.clients = clients;
    spec.settle = window / 3;
    spec.window = window;
    spec.stop = &context_.interrupted;
    std::vector<Result<CpuSplit>> ends;  // of the window
    spec.daemon_cpu = [&]() -> std::optional<double> {
      ends.push_back(read_cpu_split((*instance)->pid(), (*instance)->cgroup()));
      return std::nullopt;
    };
    auto round = drive(spec);
    if (context_.interrupted) return {};
    const auto calls = static_cast<double>(round.latencies_us.size());
    context_.samples.add_round(key, std::move(round));
    if (calls > 0 && ends.size() == 2 && ends[0] && ends[1]) {
      add_split(key, (*ends[1] - *ends[0]) / calls);
    }
    return {};
  }

  void add_split(const std::string& key, const CpuSplit& split) {
    auto& samples = context_.samples;
    for (const auto& part : kParts) samples.add(key + ".cpu_us." + part.name, split.*part.field);
    samples.add(key + ".cpu_us." + kOther, split.other());
    samples.add(key + ".cpu_us.machine", split.machine);
  }

  void add_throughput(std::vector<TargetRow>& rows, const std::string& packages,
                      double wanted) const {
    const auto& samples = context_.samples;
    unsigned best = kClients[0];
    for (const auto clients : kClients) {
      const auto rate = [&](unsigned n) {
        return samples.median(key_of(packages, n) + ".calls_per_s").value_or(0);
      };
      if (rate(clients) > rate(best)) best = clients;
    }
    const auto key = key_of(packages, best);
    const auto rate = samples.median(key + ".calls_per_s");
    const auto forks = samples.median("B2." + packages + ".all.calls_per_s");
    TargetRow row;
    row.id = "5";
    row.what = "saturated, " + packages;
    row.measured = in_digits(rate) + " calls/s (" + std::to_string(best) + " clients), p50 " +
                   in_us(samples.median(key + ".p50_us"));
    row.target = ">= " + in_digits(wanted) + " calls/s";
    row.met = at_most(wanted, rate);
    if (packages == "pandas") {
      const auto thrice = scaled(forks, 3);
      row.target += ", >= 3 x B2 = " + in_digits(thrice);
      row.met = both(row.met, at_most(thrice, rate));
    }
    row.baselines = "B2 on all processors " + in_digits(forks) + "/s";
    rows.push_back(row);
    add_cpu(rows, packages, key);
  }

  void add_cpu(std::vector<TargetRow>& rows, const std::string& packages,
               const std::string& key) const {
    const auto of = [&](const char* part) {
      return std::string(part) + " " + in_digits(context_.samples.median(key + ".cpu_us." + part));
    };
    TargetRow row;
    row.id = "5";
    row.what = "CPU us a call, " + packages;
    row.measured = of("machine");
    for (const auto& part : kParts) row.baselines += of(part.name) + ", ";
    row.baselines += of(kOther);
    row.target = "(for information)";
    rows.push_back(row);
  }

  void add_flatness(std::vector<TargetRow>& rows) const {
    const auto& samples = context_.samples;
    const auto many_key = "6." + std::to_string(kInFlight);
    const auto one = samples.median("6.1.p50_us");
    const auto many = samples.median(many_key + ".p50_us");
    const auto ratio = one ? scaled(many, 1 / *one) : std::nullopt;
    TargetRow row;
    row.id = "6";
    row.what = "handler that sleeps 50 ms, 100 in flight against 1";
    row.measured = "p50 " + in_us(many) + ", ratio " + in_digits(ratio, 2) + ", " +
                   in_digits(samples.median(many_key + ".calls_per_s")) + " calls/s";
    row.target = "ratio of p50 <= 1.1";
    row.met = at_most(ratio, 1.1);
    row.baselines = "1 in flight: p50 " + in_us(one);
    rows.push_back(row);
  }

  TargetContext& context_;
};

}  // namespace

std::unique_ptr<RowGroup> load_rows(TargetContext& context) {
  return std::make_unique<LoadRows>(context);
}

}  // namespace sock::bench
