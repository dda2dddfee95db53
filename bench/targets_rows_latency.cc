#include "bench/load.h"
#include "bench/targets_rows.h"

namespace sock::bench {
namespace {

/// An answer of n + 1 also proves that nobody used the sandbox before.
std::string small_source(const std::string& module) {
  std::string source;
  if (!module.empty()) source += "import " + module + "\n\n";
  source +=
      "calls = 0\n\n\n"
      "def handler(event, context):\n"
      "    global calls\n"
      "    calls += 1\n"
      "    return {'n': event['n'] + calls}\n";
  return source;
}

constexpr const char* kEvent = "{\"n\": 41}";
constexpr const char* kAnswer = "{\"n\":42}";

struct Kind {
  unsigned row;
  Setup setup;
  const char* start;  ///< the X-Sock-Start it is about
  unsigned keep_ready;
};
constexpr Kind kKinds[] = {{1, Setup::kStocked, "parked", 4},
                           {2, Setup::kPackages, "parked", 0},
                           {4, Setup::kOnDemand, "clone", 0}};

class LatencyRows : public RowGroup {
 public:
  explicit LatencyRows(TargetContext& context) : context_(context) {}

  [[nodiscard]] bool wanted() const override {
    return context_.wants(1) || context_.wants(2) || context_.wants(4);
  }

  Result<> prepare() override {
    for (const auto& kind : kKinds) {
      if (!context_.wants(kind.row)) continue;
      for (const std::string packages : kPackageSets) {
        Deployment function;
        function.name = name_of(kind, packages);
        const auto module = module_of(packages);
        function.source = kind.row == 4 ? noop_source(module) : small_source(module);
        if (!module.empty()) function.requirements = {module};
        function.keep_ready = kind.keep_ready;
        function.event = kEvent;
        if (auto done = context_.deploy(kind.setup, function); !done) return done;
      }
    }
    return {};
  }

  Result<> measure() override {
    if (auto done = context_.measure_clone(); !done) return done;
    for (const std::string packages : kPackageSets) {
      if (auto done = context_.measure_fork(packages); !done) return done;
      for (const auto& kind : kKinds) {
        if (!context_.wants(kind.row) || context_.interrupted) continue;
        PacedSpec spec;
        spec.function = name_of(kind, packages);
        spec.event = kEvent;
        spec.answer = kind.row == 4 ? kFreshAnswer : kAnswer;
        spec.start = kind.start;
        if (auto done = context_.paced(key_of(kind.row, packages), kind.setup, spec); !done) {
          return done;
        }
      }
    }
    return {};
  }

  void report(std::vector<TargetRow>& rows) const override {
    for (const std::string packages : kPackageSets) {
      if (!context_.wants(1)) break;
      auto row = common(1, packages, "parked clone of a function zygote");
      const auto p50 = median(1, packages, "p50_us");
      row.target = "p50 <= 100 us, p99 <= 500 us (stretch: p50 <= 60 us)";
      row.met = both(at_most(p50, 100), at_most(median(1, packages, "p99_us"), 500));
      if (row.met == true && *p50 <= 60) row.measured += ", stretch met";
      rows.push_back(row);
    }
    for (const std::string packages : kPackageSets) {
      if (!context_.wants(2)) break;
      auto row = common(2, packages, "parked clone of a package zygote");
      row.target = "p50 <= 450 us";
      row.met = at_most(median(2, packages, "p50_us"), 450);
      rows.push_back(row);
    }
    for (const std::string packages : kPackageSets) {
      if (!context_.wants(4)) break;
      auto row = common(4, packages, "parked miss: clone on demand, no-op");
      row.target = "(what pandas is held against)";
      if (packages == "pandas") judge_miss(row);
      rows.push_back(row);
    }
  }

 private:
  static std::string name_of(const Kind& kind, const std::string& packages) {
    return (kind.row == 4 ? "noop-" : "small-") + packages;
  }
  static std::string key_of(unsigned row, const std::string& packages) {
    return std::to_string(row) + "." + packages;
  }
  [[nodiscard]] std::optional<double> median(unsigned row, const std::string& packages,
                                             const std::string& figure) const {
    return context_.samples.median(key_of(row, packages) + "." + figure);
  }

  [[nodiscard]] TargetRow common(unsigned number, const std::string& packages,
                                 const std::string& what) const {
    const auto& samples = context_.samples;
    const auto fork = "B2." + packages;
    TargetRow row;
    row.id = std::to_string(number);
    row.what = what + ", " + packages;
    row.measured = "p50 " + in_us(median(number, packages, "p50_us")) + ", p99 " +
                   in_us(median(number, packages, "p99_us"));
    row.baselines = "B1 " + in_us(samples.median("B1.p50_us")) + " (tight " +
                    in_us(samples.median("B1.tight.p50_us")) + "), B2 " +
                    in_us(samples.median(fork + ".p50_us")) + " (tight " +
                    in_us(samples.median(fork + ".tight.p50_us")) + ")";
    return row;
  }

  /// Against os.fork() at the same pace, and against the same miss on a bare zygote.
  void judge_miss(TargetRow& row) const {
    const auto p50 = median(4, "pandas", "p50_us");
    const auto half = scaled(context_.samples.median("B2.pandas.p50_us"), 0.5);
    const auto bare = scaled(median(4, "bare", "p50_us"), 1.3);
    row.target = "p50 <= 0.5 x B2 = " + in_us(half) + ", <= 1.3 x bare = " + in_us(bare);
    row.met = both(at_most(p50, half), at_most(p50, bare));
  }

  TargetContext& context_;
};

}  // namespace

std::unique_ptr<RowGroup> latency_rows(TargetContext& context) {
  return std::make_unique<LatencyRows>(context);
}

}  // namespace sock::bench
