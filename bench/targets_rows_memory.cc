#include <algorithm>
#include <thread>

#include "bench/clone_memory.h"
#include "bench/progress.h"
#include "bench/targets_rows.h"

namespace sock::bench {
namespace {

constexpr unsigned kClones = 4;
constexpr double kMegabyte = 1e6;

/// Daemons whose parked clones are all of one kind.
struct Subject {
  const char* key;
  const char* what;
  const char* config;
  bool function;   ///< clones of a function's zygote; else of the bare interpreter's
  unsigned calls;  ///< of that function before they are looked at
  double limit_mb;
};
constexpr const char* kPackageConfig =
    "[parked]\nmin = 4\nmax = 4\n[zygotes]\nsets = []\nfunctions = false\n";
constexpr const char* kFunctionConfig = "[parked]\nmin = 0\nmax = 8\n[zygotes]\nsets = []\n";
/// What calls touch is learnt from the first few of a function; a package zygote's clones know from
/// its trial what the runtime touches.
constexpr Subject kSubjects[] = {
    {"7.new", "of a function zygote, not rehearsed", kFunctionConfig, true, 0, 0.4},
    {"7.function", "of a function zygote, rehearsed", kFunctionConfig, true, 40, 1.0},
    {"7.package", "of the bare zygote, rehearsed", kPackageConfig, false, 0, 1.0}};

constexpr const char* kSource =
    "def handler(event, context):\n"
    "    return {'n': event['n'] + 1}\n";

class MemoryRows : public RowGroup {
 public:
  explicit MemoryRows(TargetContext& context) : context_(context) {}

  [[nodiscard]] bool wanted() const override { return context_.wants(7) || context_.wants(8); }

  Result<> prepare() override {
    if (!context_.wants(8)) return {};
    const auto instance = context_.daemon(Setup::kPackages);  // it has a zygote with pandas
    if (!instance) return std::unexpected(instance.error());
    return await_zygotes((*instance)->socket(), "");
  }

  Result<> measure() override {
    if (context_.wants(7)) {
      for (const auto& subject : kSubjects) {
        if (context_.interrupted) return {};
        if (auto done = weigh(subject); !done) return done;
      }
    }
    return context_.wants(8) ? read_seal_times() : Result<>{};
  }

  void report(std::vector<TargetRow>& rows) const override {
    if (context_.wants(7)) {
      for (const auto& subject : kSubjects) add_memory(rows, subject);
    }
    if (context_.wants(8)) add_seal(rows);
  }

 private:
  Result<> weigh(const Subject& subject) {
    show_progress(std::string(subject.key) + ": memory of parked clones");
    auto instance = start_daemon(context_.options, context_.home, subject.config);
    if (!instance) return std::unexpected(instance.error());
    if (subject.function) {
      Deployment function{.name = "small", .source = kSource, .requirements = {}};
      function.keep_ready = kClones;
      if (auto done = bench::deploy(instance->socket(), function); !done) return done;
      if (auto done = await_zygotes(instance->socket(), function.name); !done) return done;
    }
    if (subject.calls > 0) {
      PacedSpec spec{.socket = instance->socket(),
                     .function = "small",
                     .event = "{\"n\": 1}",
                     .answer = "",
                     .start = "parked",
                     .calls = subject.calls};
      if (const auto called = drive_paced(spec); !called) return std::unexpected(called.error());
    }
    const auto clones = await_parked(*instance, kClones);
    if (!clones) return std::unexpected(clones.error());
    std::vector<double> own;
    std::vector<double> tables;
    std::vector<double> charged;
    for (const auto pid : *clones) {
      const auto memory = memory_of_clone(pid);
      if (!memory) return std::unexpected(memory.error());
      own.push_back(memory->private_bytes);
      tables.push_back(memory->page_table_bytes);
      charged.push_back(memory->cgroup_bytes);
    }
    auto& samples = context_.samples;
    samples.add(std::string(subject.key) + ".private_mb", median(own) / kMegabyte);
    samples.add(std::string(subject.key) + ".page_tables_mb", median(tables) / kMegabyte);
    samples.add(std::string(subject.key) + ".cgroup_mb", median(charged) / kMegabyte);
    return instance->stop();
  }

  /// Every daemon with a pandas zygote has sealed one.
  Result<> read_seal_times() {
    for (const auto& [setup, instance] : context_.daemons()) {
      const auto zygotes = zygotes_of(instance.socket());
      if (!zygotes) return std::unexpected(zygotes.error());
      for (const auto& zygote : zygotes->at("zygotes").as_array()) {
        const auto& node = zygote.as_object();
        const auto* seal = node.if_contains("seal_ms");
        const auto* sealed = node.if_contains("sealed");
        const auto& packages = node.at("packages").as_array();
        const bool pandas = std::ranges::any_of(packages, [](const auto& package) {
          return package.as_string().starts_with("pandas==");
        });
        if (!pandas || node.at("state").as_string() != "ready") continue;
        context_.samples.add("8.import_ms", node.at("import_ms").to_number<double>());
        if (seal != nullptr && (sealed == nullptr || sealed->as_bool())) {
          context_.samples.add("8.seal_ms", seal->to_number<double>());
        }
      }
    }
    return {};
  }

  void add_memory(std::vector<TargetRow>& rows, const Subject& subject) const {
    const auto of = [&](const char* figure) {
      return context_.samples.median(std::string(subject.key) + figure);
    };
    const auto own = of(".private_mb");
    const auto total = scaled(own, 1, of(".page_tables_mb").value_or(0));
    TargetRow row;
    row.id = "7";
    row.what = std::string("memory of a parked clone ") + subject.what;
    row.measured = in_digits(total, 2) + " MB = private " + in_digits(own, 2) + " + page tables " +
                   in_digits(of(".page_tables_mb"), 2);
    row.target = "<= " + in_digits(subject.limit_mb, 1) + " MB";
    row.met = at_most(total, subject.limit_mb);
    row.baselines = "charged to its cgroup: " + in_digits(of(".cgroup_mb"), 2) + " MB";
    rows.push_back(row);
  }

  void add_seal(std::vector<TargetRow>& rows) const {
    const auto seal = context_.samples.median("8.seal_ms");
    TargetRow row;
    row.id = "8";
    row.what = "start of the pandas zygote beyond its imports";
    row.measured = seal ? in_digits(seal) + " ms" : "n/a: GET /v1/zygotes shows no sealing";
    row.target = "<= 100 ms";
    row.met = at_most(seal, 100);
    row.baselines =
        "the import itself: " + in_digits(context_.samples.median("8.import_ms")) + " ms";
    rows.push_back(row);
  }

  TargetContext& context_;
};

}  // namespace

std::unique_ptr<RowGroup> memory_rows(TargetContext& context) {
  return std::make_unique<MemoryRows>(context);
}

}  // namespace sock::bench
