#include "bench/pkgcache/report.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace sock::bench {
namespace {

using Line = std::vector<std::string>;

std::string table_of(const std::vector<Line>& lines) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - line[i].size(), ' ');
      out += i == 0 ? line[i] + blanks : "  " + blanks + line[i];
    }
    out += "\n";
  }
  return out;
}

/// value(a) / value(b) - 1.
std::optional<double> change(const Samples& samples, const std::string& a, const std::string& b) {
  const auto one = samples.median(a);
  const auto other = samples.median(b);
  if (!one || !other || *other <= 0) return std::nullopt;
  return *one / *other - 1;
}

std::string in_percent(std::optional<double> part) {
  if (!part) return "n/a";
  char text[32];
  std::snprintf(text, sizeof text, "%+.0f %%", 100 * *part);
  return text;
}

/// "NAME's KEY against OTHER's": at most `limit`, a change as 0.1 for +10 %.
TargetRow comparison(const Samples& samples, const std::string& id, const std::string& name,
                     const std::string& other, const std::string& key, double limit) {
  const auto executed = change(samples, name + ".service_" + key, other + ".service_" + key);
  const auto cpu = change(samples, name + ".call_cpu_" + key, other + ".call_cpu_" + key);
  const auto expected = change(samples, name + ".expected_" + key, other + ".expected_" + key);
  return {.id = id,
          .what = "service " + key.substr(0, key.find('_')) + ", " + name + " against " + other,
          .measured = in_percent(executed),
          .target = "<= " + in_percent(limit),
          .met = at_most(executed, limit),
          .baselines = "CPU " + in_percent(cpu) + ", expected " + in_percent(expected)};
}

std::string milliseconds(double value) { return in_digits(value, 1) + " ms"; }

void add_cold_rows(const ColdPath& cold, std::vector<TargetRow>& rows) {
  rows.push_back({.id = "6",
                  .what = "cold path, first call: service",
                  .measured = milliseconds(cold.first.service_ms),
                  .target = "< from the root",
                  .met = cold.first.service_ms < cold.from_root.service_ms,
                  .baselines = "from the root " + milliseconds(cold.from_root.service_ms)});
  rows.push_back({.id = "7",
                  .what = "cold path, second call: service",
                  .measured = milliseconds(cold.second.service_ms) + ", " + cold.second.start,
                  .target = "no import left: <= 10 ms",
                  .met = cold.second.service_ms <= 10,
                  .baselines = cold.zygote_ms < 0
                                   ? "no zygote came"
                                   : "its zygote after " + milliseconds(cold.zygote_ms)});
}

}  // namespace

void add_expectation(const std::string& name, const Expectation& expected, Samples& samples) {
  const std::string key = name + ".expected_";
  samples.add(key + "mean_ms", expected.mean_ms);
  samples.add(key + "p50_ms", expected.p50_ms);
  samples.add(key + "p99_ms", expected.p99_ms);
  samples.add(key + "hit_ratio", expected.hit_ratio);
  samples.add(key + "memory_mb", expected.memory_mb);
  samples.add(key + "creation_ms", expected.creation_ms);
}

std::string contender_tables(std::span<const Contender> contenders, std::size_t calls,
                             const Samples& samples) {
  std::vector<Line> times{{"ms a call", "expected mean", "p50", "p99", "service mean", "p50", "p99",
                           "latency mean", "p50", "p99", "CPU mean", "p50", "p99",
                           "model, as served"}};
  std::vector<Line> costs{{"", "zygotes", "hits expected", "executed", "MB expected", "executed",
                           "PSS", "with clones", "creation ms a call expected", "executed",
                           "all CPU ms a call"}};
  // Of the zygotes beside the root; the root is what a daemon without others has.
  const auto beside = [&](const std::string& name, const std::string& key) {
    const auto root = samples.median("none." + key);
    return root ? in_digits(scaled(samples.median(name + "." + key), 1, -*root), 1) : "n/a";
  };
  for (const auto& contender : contenders) {
    const std::string& name = contender.name;
    const auto value = [&](const std::string& key, int decimals, double factor = 1) {
      return in_digits(scaled(samples.median(name + "." + key), factor), decimals);
    };
    Line line{contender.what};
    for (const char* what : {"expected_", "service_", "latency_", "call_cpu_"}) {
      for (const char* figure : {"mean_ms", "p50_ms", "p99_ms"}) {
        line.push_back(value(std::string(what) + figure, 2));
      }
    }
    line.push_back(value("served_mean_ms", 2));
    times.push_back(std::move(line));
    const double per_call = 1 / static_cast<double>(std::max<std::size_t>(calls, 1));
    costs.push_back({contender.what, value("zygotes", 0), value("expected_hit_ratio", 3),
                     value("hit_ratio", 3), value("expected_memory_mb", 1),
                     beside(name, "memory_mb"), beside(name, "api_memory_mb"),
                     value("memory_with_clones_mb", 1), value("expected_creation_ms", 2, per_call),
                     value("creation_ms", 2, per_call), value("all_cpu_ms", 2)});
  }
  std::string out = table_of(times) + "\n" + table_of(costs);
  for (const auto& contender : contenders) {
    if (contender.online_creation_ms <= 0) continue;
    out += contender.what + " goes on creating on the path of calls: by the model " +
           in_digits(contender.online_creation_ms, 2) +
           " ms a call; executed is its tree at rest\n";
  }
  return out;
}

std::vector<TargetRow> pkgcache_rows(const Samples& samples, double budget_mb,
                                     const std::optional<ColdPath>& cold) {
  std::vector<TargetRow> rows{
      comparison(samples, "1", "ours", "forklift", "mean_ms", -0.25),
      comparison(samples, "1", "ours", "forklift", "p99_ms", 0.05),
      comparison(samples, "2", "ours", "sock", "mean_ms", -0.50),
      comparison(samples, "2", "ours", "sock", "p99_ms", 0.05),
      comparison(samples, "3", "adaptive", "ours", "mean_ms", 0.10),
  };
  for (const std::string name : {"ours", "adaptive"}) {
    const auto all = samples.median(name + ".memory_mb");
    const auto root = samples.median("none.memory_mb");
    const auto beside = all && root ? std::optional(*all - *root) : std::nullopt;
    rows.push_back(
        {.id = "4",
         .what = "memory of the zygotes beside the root, " + name,
         .measured = in_digits(beside, 1) + " MB",
         .target = "<= " + in_digits(budget_mb) + " MB",
         .met = at_most(beside, budget_mb),
         .baselines =
             "expected " + in_digits(samples.median(name + ".expected_memory_mb"), 1) + " MB"});
  }
  for (const std::string name : {"none", "ours"}) {
    const auto beyond = [&](const std::string& key) {
      return in_digits(samples.median(name + key), 1) + " ms";
    };
    rows.push_back(
        {.id = "5",
         .what = "service mean executed against the model, " + name,
         .measured =
             in_percent(change(samples, name + ".service_mean_ms", name + ".served_mean_ms")),
         .target = "-",
         .met = std::nullopt,
         .baselines = "beyond it, median: " + beyond(".beyond_complete_ms") + " with all loaded, " +
                      beyond(".beyond_partial_ms") + " with imports left"});
  }
  if (cold) add_cold_rows(*cold, rows);
  return rows;
}

std::string describe(const ColdPath& cold) {
  std::vector<Line> lines{{"cold path", "start", "service ms", "latency ms", "loaded before"}};
  const auto add = [&](const std::string& what, const ServedCall& call) {
    lines.push_back({what, call.start, in_digits(call.service_ms, 2), in_digits(call.latency_ms, 2),
                     call.zygote.empty() ? "-" : call.zygote});
  };
  std::string asked;
  for (const auto& name : cold.packages) asked += (asked.empty() ? "" : ", ") + name;
  add("from the root", cold.from_root);
  add("first call", cold.first);
  add("second call", cold.second);
  return asked +
         (cold.zygote_ms < 0
              ? "; no zygote with all of them within a minute\n"
              : "; a zygote with all of them after " + milliseconds(cold.zygote_ms) + "\n") +
         table_of(lines);
}

}  // namespace sock::bench
