#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "bench/measuring_program.h"
#include "bench/progress.h"
#include "bench/targets_rows.h"

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr const char* kSource = R"(import pandas

calls = 0


def handler(event, context):
    global calls
    calls += 1
    frame = pandas.DataFrame(event)
    sums = frame.groupby("key")["value"].sum()
    return dict(zip(sums.index.tolist(), sums.tolist()))
)";

/// A thousand rows, ten keys.
std::string event() {
  json::array keys;
  json::array values;
  for (int i = 0; i < 1000; ++i) {
    keys.push_back(json::string("key-" + std::to_string(i % 10)));
    values.push_back(i);
  }
  return json::serialize(json::object{{"key", keys}, {"value", values}});
}

class GroupByRows : public RowGroup {
 public:
  explicit GroupByRows(TargetContext& context) : context_(context) {}

  [[nodiscard]] bool wanted() const override { return context_.wants(3); }

  Result<> prepare() override {
    if (auto written = replace_file(handler_file(), kSource); !written) return written;
    if (auto written = replace_file(event_file(), event()); !written) return written;
    return context_.deploy(Setup::kStocked, {.name = "group-by",
                                             .source = kSource,
                                             .requirements = {"pandas"},
                                             .keep_ready = 4,
                                             .event = event()});
  }

  Result<> measure() override {
    show_progress("B6: the group-by in a warm process");
    MeasuringProgram warm{"/usr/bin/python3",
                          {"-I", context_.options.folder + "/warm_call.py", "--handler",
                           handler_file(), "--event", event_file()},
                          context_.home,
                          1,
                          context_.options.window / 3};
    auto round = drive_program(warm);
    if (!round) return std::unexpected(round.error());
    context_.samples.add_round("B6", std::move(*round));
    PacedSpec spec;
    spec.function = "group-by";
    spec.event = event();
    spec.start = "parked";
    return context_.paced("3.pandas", Setup::kStocked, spec);
  }

  void report(std::vector<TargetRow>& rows) const override {
    const auto& samples = context_.samples;
    const auto warm = samples.median("B6.p50_us");
    const auto limit = scaled(warm, 3, 150);
    const auto p50 = samples.median("3.pandas.p50_us");
    TargetRow row;
    row.id = "3";
    row.what = "parked clone of a function zygote, group-by of 1,000 rows";
    row.measured = "p50 " + in_us(p50) + ", p99 " + in_us(samples.median("3.pandas.p99_us"));
    row.target = "p50 <= 3 x B6 + 150 us = " + in_us(limit);
    row.met = at_most(p50, limit);
    row.baselines = "B6 " + in_us(warm);
    rows.push_back(row);
  }

 private:
  [[nodiscard]] std::string handler_file() const { return context_.home / "group_by.py"; }
  [[nodiscard]] std::string event_file() const { return context_.home / "group_by.json"; }

  TargetContext& context_;
};

}  // namespace

std::unique_ptr<RowGroup> group_by_rows(TargetContext& context) {
  return std::make_unique<GroupByRows>(context);
}

}  // namespace sock::bench
