#include "bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr const char* kSubject = "sock";

std::string milliseconds(double micros) {
  char text[32];
  std::snprintf(text, sizeof text, micros < 100'000 ? "%.2f" : "%.0f", micros / 1000);
  return text;
}

std::string whole(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f", value);
  return text;
}

std::string counts(const std::map<std::string, std::uint64_t>& kinds) {
  std::string out;
  for (const auto& [kind, count] : kinds) {
    if (!out.empty()) out += ", ";
    out += kind + " " + std::to_string(count);
  }
  return out;
}

void add_row(std::string& out, const std::vector<std::string>& cells) {
  char text[256];
  std::snprintf(text, sizeof text, "%-10s %-8s %7s %9s %9s %9s %9s %12s %9s %7s  ",
                cells[0].c_str(), cells[1].c_str(), cells[2].c_str(), cells[3].c_str(),
                cells[4].c_str(), cells[5].c_str(), cells[6].c_str(), cells[7].c_str(),
                cells[8].c_str(), cells[9].c_str());
  out += text;
  out += cells[10] + "\n";
}

void add_comparison(std::string& out, const Report& report) {
  for (const auto& subject : report.series) {
    if (subject.system != kSubject || subject.clients != 1) continue;
    const auto own = median_of(subject.rounds).p50_us;
    std::string line;
    for (const auto& other : report.series) {
      if (other.system == kSubject || other.clients != 1 || other.packages != subject.packages) {
        continue;
      }
      const auto theirs = median_of(other.rounds).p50_us;
      if (own <= 0 || theirs <= 0) continue;
      char text[96];
      std::snprintf(text, sizeof text, "%s%.1f x %s", line.empty() ? "" : ", ", theirs / own,
                    other.system.c_str());
      line += text;
    }
    if (!line.empty()) {
      out += "speed of " + subject.packages + ", one client, by p50: " + line + "\n";
    }
  }
}

json::object to_json(const Figures& figures) {
  json::object out{{"calls", figures.calls},
                   {"errors", figures.errors},
                   {"calls_per_s", figures.calls_per_s},
                   {"p50_us", figures.p50_us},
                   {"p90_us", figures.p90_us},
                   {"p99_us", figures.p99_us},
                   {"machine_cpu_us", figures.machine_cpu_us}};
  if (figures.own_cpu_us >= 0) {
    out["own_cpu_us"] = figures.own_cpu_us;
  } else {
    out["own_cpu_us"] = nullptr;
  }
  return out;
}

json::object to_json(const std::map<std::string, std::uint64_t>& kinds) {
  json::object out;
  for (const auto& [kind, count] : kinds) out[kind] = count;
  return out;
}

}  // namespace

Series& Report::at(const std::string& system, const std::string& packages, unsigned clients) {
  const auto found = std::find_if(series.begin(), series.end(), [&](const Series& one) {
    return one.system == system && one.packages == packages && one.clients == clients;
  });
  if (found != series.end()) return *found;
  series.push_back({system, packages, clients, {}, {}, {}});
  return series.back();
}

std::string as_table(const Report& report) {
  std::string out;
  add_row(out, {"system", "packages", "clients", "calls/s", "p50 ms", "p90 ms", "p99 ms",
                "machine CPU", "own CPU", "errors", "start"});
  add_row(out, {"", "", "", "", "", "", "", "us/call", "us/call", "", ""});
  for (const auto& one : report.series) {
    const auto figures = median_of(one.rounds);
    const bool measured = figures.calls > 0;
    const auto shown = [measured](const std::string& text) { return measured ? text : "-"; };
    std::uint64_t errors = 0;
    for (const auto& [kind, count] : one.errors) errors += count;
    add_row(out, {one.system, one.packages, std::to_string(one.clients),
                  shown(whole(figures.calls_per_s)), shown(milliseconds(figures.p50_us)),
                  shown(milliseconds(figures.p90_us)), shown(milliseconds(figures.p99_us)),
                  shown(whole(figures.machine_cpu_us)),
                  figures.own_cpu_us < 0 ? "-" : shown(whole(figures.own_cpu_us)),
                  std::to_string(errors), counts(one.starts)});
  }
  for (const auto& [system, why] : report.left_out) out.append(system + ": ").append(why + "\n");
  for (const auto& one : report.series) {
    if (one.errors.empty()) continue;
    out += "errors of " + one.system + " " + one.packages + ", " + std::to_string(one.clients) +
           " clients: " + counts(one.errors) + "\n";
  }
  add_comparison(out, report);
  if (!report.complete) out += "interrupted: not every round was run\n";
  return out;
}

std::string as_json(const Report& report) {
  utsname host{};
  ::uname(&host);
  json::object out;
  out["version"] = 1;
  out["host"] = json::object{{"kernel", host.release},
                             {"machine", host.machine},
                             {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)}};
  out["window_s"] = report.window_s;
  out["complete"] = report.complete;
  json::object left_out;
  for (const auto& [system, why] : report.left_out) left_out[system] = why;
  out["left_out"] = left_out;
  json::array all;
  for (const auto& one : report.series) {
    json::array rounds;
    for (const auto& figures : one.rounds) rounds.push_back(to_json(figures));
    json::object entry{{"system", one.system}, {"packages", one.packages}};
    entry["clients"] = one.clients;
    entry["median"] = to_json(median_of(one.rounds));
    entry["rounds"] = rounds;
    entry["errors"] = to_json(one.errors);
    entry["starts"] = to_json(one.starts);
    all.push_back(entry);
  }
  out["series"] = all;
  return json::serialize(out) + "\n";
}

}  // namespace sock::bench
