#include "bench/targets_table.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr std::size_t kColumns = 6;
using Cells = std::array<std::string, kColumns>;

std::string verdict(const TargetRow& row) {
  if (!row.met) return "-";
  return *row.met ? "met" : "MISSED";
}

std::string counts(const Samples::Counts& all, const std::string& what) {
  std::string out;
  for (const auto& [key, kinds] : all) {
    out.append(what).append(" of ").append(key).append(":");
    for (const auto& [kind, count] : kinds) {
      out.append(" ").append(kind.empty() ? "?" : kind).append(" ").append(std::to_string(count));
    }
    out += "\n";
  }
  return out;
}

json::object to_json(const Samples::Counts& all) {
  json::object out;
  for (const auto& [key, kinds] : all) {
    json::object entry;
    for (const auto& [kind, count] : kinds) entry[kind] = count;
    out[key] = std::move(entry);
  }
  return out;
}

}  // namespace

std::string as_table(const TargetReport& report, const Samples& samples) {
  std::vector<Cells> lines{{"row", "what", "measured", "target", "verdict", "baselines"}};
  for (const auto& row : report.rows) {
    lines.push_back({row.id, row.what, row.measured, row.target, verdict(row), row.baselines});
  }
  std::array<std::size_t, kColumns> widths{};
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out = describe(report.host) + "\nmedian of " + std::to_string(report.rounds) +
                    " rounds" + (report.complete ? "" : ", interrupted") + "\n\n";
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      out += line[i];
      if (i + 1 < kColumns) out.append(widths[i] - line[i].size() + 2, ' ');
    }
    out += "\n";
  }
  return out + "\n" + report.legend + "\n" + counts(samples.starts(), "starts") +
         counts(samples.errors(), "errors");
}

std::string as_json(const TargetReport& report, const Samples& samples) {
  json::object out{{"version", 1}, {"rounds", report.rounds}, {"complete", report.complete}};
  out["host"] = bench::to_json(report.host);
  json::array rows;
  for (const auto& row : report.rows) {
    json::object entry{{"id", row.id},
                       {"what", row.what},
                       {"measured", row.measured},
                       {"target", row.target},
                       {"baselines", row.baselines}};
    if (row.met) {
      entry["met"] = *row.met;
    } else {
      entry["met"] = nullptr;
    }
    rows.push_back(std::move(entry));
  }
  out["rows"] = std::move(rows);
  json::object values;
  for (const auto& [key, all] : samples.values()) values[key] = json::array(all.begin(), all.end());
  out["samples"] = std::move(values);
  out["starts"] = to_json(samples.starts());
  out["errors"] = to_json(samples.errors());
  return json::serialize(out) + "\n";
}

std::string in_us(std::optional<double> micros) {
  return micros ? in_digits(micros) + " us" : "n/a";
}

std::string in_digits(std::optional<double> value, int decimals) {
  if (!value) return "n/a";
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, *value);
  return text;
}

std::optional<bool> at_most(std::optional<double> value, std::optional<double> limit) {
  if (!value || !limit) return std::nullopt;
  return *value <= *limit;
}

std::optional<double> scaled(std::optional<double> value, double factor, double offset) {
  if (!value) return std::nullopt;
  return *value * factor + offset;
}

std::optional<bool> both(std::optional<bool> a, std::optional<bool> b) {
  if (!a || !b) return std::nullopt;
  return *a && *b;
}

}  // namespace sock::bench
