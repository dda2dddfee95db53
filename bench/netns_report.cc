#include "bench/netns_report.h"

#include <cstdio>

#include "bench/netns_starts.h"
#include "bench/netns_sustained.h"

namespace sock::bench {
namespace {

constexpr const char* kInformation = "(for information)";
constexpr unsigned kFlatTo = 64;
constexpr double kFlat = 2;

template <class... Values>
std::string text(const char* format, Values... values) {
  char out[256];
  std::snprintf(out, sizeof out, format, values...);
  return out;
}

std::optional<double> quotient(std::optional<double> over, std::optional<double> under) {
  if (!over || !under || *under <= 0) return std::nullopt;
  return *over / *under;
}

/// Microseconds with as many digits as mean something.
std::string micros(std::optional<double> value) {
  return in_digits(value, value && *value < 100 ? 1 : 0);
}

std::string range_of(const Samples& samples, const std::string& key) {
  const auto range = samples.range(key);
  if (!range) return "n/a";
  return micros(range->first) + "–" + micros(range->second);
}

std::string clock_table(const NetnsBench& bench, const std::string& clock) {
  const auto& samples = bench.samples;
  std::string out;
  for (const auto concurrency : bench.options.concurrency) {
    for (const auto method : kMethods) {
      const auto key = start_key(method, concurrency, clock);
      if (!samples.median(key + ".p50_us")) continue;
      out += text("%-4s %11u  %-8s %9s %9s %9s  %s\n", clock.c_str(), concurrency,
                  name_of(method).c_str(), micros(samples.median(key + ".p50_us")).c_str(),
                  micros(samples.median(key + ".p90_us")).c_str(),
                  micros(samples.median(key + ".p99_us")).c_str(),
                  range_of(samples, key + ".p99_us").c_str());
    }
  }
  return out;
}

std::string ratios(const NetnsBench& bench) {
  std::string out = "times faster pooled than unshare (than linked), by the network's own clock\n";
  const auto& samples = bench.samples;
  for (const auto concurrency : bench.options.concurrency) {
    const auto factor = [&](Method method, const char* figure) {
      return quotient(samples.median(start_key(method, concurrency, "own") + figure),
                      samples.median(start_key(Method::kPooled, concurrency, "own") + figure));
    };
    out += text("%16u  p50 %6s (%s)  p99 %6s (%s)\n", concurrency,
                in_digits(factor(Method::kUnshare, ".p50_us"), 1).c_str(),
                in_digits(factor(Method::kLinked, ".p50_us")).c_str(),
                in_digits(factor(Method::kUnshare, ".p99_us"), 1).c_str(),
                in_digits(factor(Method::kLinked, ".p99_us")).c_str());
  }
  return out;
}

/// In a row, from warm caches; and at a low rate, as a call meets it.
TargetRow lease_row(const Samples& samples, const char* id, const char* figure, double most) {
  const auto suffix = std::string(".") + figure + "_us";
  const auto in_a_row = samples.median("lease" + suffix);
  const auto alone = samples.median(sustained_key(kLeaseRates.front()) + suffix);
  return {id,
          std::string("lease alone, ") + figure,
          in_digits(in_a_row, 2) + " us; every " + in_digits(1000.0 / kLeaseRates.front()) +
              " ms: " + in_digits(alone, 1) + " us",
          "<= " + in_digits(most) + " us",
          both(at_most(in_a_row, most), at_most(alone, most)),
          "of it the clock " + in_digits(samples.median("clock" + suffix), 2) +
              " us; p99 of the rounds " + range_of(samples, "lease.p99_us") + "; " +
              range_of(samples, sustained_key(kLeaseRates.front()) + ".p99_us")};
}

std::string growth(const Samples& samples, Method method, const char* figure) {
  const auto key = [&](unsigned concurrency) {
    return start_key(method, concurrency, "own") + "." + figure;
  };
  return in_digits(quotient(samples.median(key(kFlatTo)), samples.median(key(1))), 2);
}

TargetRow flat_row(const Samples& samples) {
  const auto at = [&samples](unsigned concurrency) {
    return samples.median(start_key(Method::kPooled, concurrency, "own") + ".p99_us");
  };
  return {"3",
          "pooled start, p99 at 64 / at 1",
          micros(at(kFlatTo)) + " / " + micros(at(1)) +
              " us = " + growth(samples, Method::kPooled, "p99_us"),
          "<= " + in_digits(kFlat),
          at_most(quotient(at(kFlatTo), at(1)), kFlat),
          "unshare " + growth(samples, Method::kUnshare, "p99_us") + ", linked " +
              growth(samples, Method::kLinked, "p99_us") + "; p50: pooled " +
              growth(samples, Method::kPooled, "p50_us") + ", unshare " +
              growth(samples, Method::kUnshare, "p50_us") + ", linked " +
              growth(samples, Method::kLinked, "p50_us")};
}

/// What everything but the network makes of a crowd on this machine's processors.
TargetRow crowd_row(const Samples& samples) {
  const auto at = [&samples](Method method) {
    return samples.median(start_key(method, kFlatTo, "all") + ".p99_us");
  };
  return {"3",
          "p99 at 64, waiting for a processor too",
          micros(at(Method::kPooled)) + " us",
          kInformation,
          std::nullopt,
          "none " + micros(at(Method::kNone)) + ", unshare " + micros(at(Method::kUnshare)) +
              ", linked " + micros(at(Method::kLinked))};
}

/// Any that did would have ended the run (measure_leases()).
TargetRow leftover_row(const NetnsBench& bench) {
  const bool measured = bench.samples.median("lease.p50_us").has_value();
  return {"4",
          std::to_string(bench.options.leases) + " leases leave behind",
          measured ? "0 namespaces, the same links" : "n/a",
          "nothing",
          measured ? std::optional(true) : std::nullopt,
          ""};
}

TargetRow told(const char* id, std::string what, std::string measured, std::string more) {
  return {id, std::move(what), std::move(measured), kInformation, std::nullopt, std::move(more)};
}

TargetRow memory_row(const Samples& samples, const char* id, const std::string& kind) {
  const auto kilobytes = [&](const char* part) {
    return in_digits(scaled(samples.median("memory." + kind + part), 1e-3));
  };
  const auto rate = samples.range("drain." + kind + ".per_s");
  return told(id, kind == "linked" ? "a linked namespace" : "a pooled namespace",
              "slab " + kilobytes(".slab_bytes") + " kB, per-cpu " + kilobytes(".percpu_bytes") +
                  " kB; dead ones " + in_digits(samples.median("drain." + kind + ".per_s")) + "/s",
              "MemAvailable " + kilobytes(".bytes") + " kB; rounds " +
                  (rate ? in_digits(rate->first) + "–" + in_digits(rate->second) + "/s" : ""));
}

TargetRow sustained_row(const Samples& samples, unsigned rate) {
  const auto value = [&](const char* figure) {
    return samples.median(sustained_key(rate) + "." + figure);
  };
  const auto dry_after = value("dry_after");
  const auto dry = dry_after ? "dry after " + in_digits(dry_after) + " leases, " +
                                   in_digits(value("dry_ms"), 1) + " ms"
                             : "never dry";
  return told("7", rate == 0 ? "leases without pause" : "leases, " + std::to_string(rate) + "/s",
              in_digits(value("per_s")) + "/s, p50 " + micros(value("p50_us")) + ", p99 " +
                  micros(value("p99_us")) + " us",
              in_digits(value("missed_percent"), 1) + " % waited; " + dry + "; rejected " +
                  in_digits(value("rejected")) + "; the kernel goes on for " +
                  in_digits(value("backlog_ms")) + " ms");
}

}  // namespace

std::string starts_table(const NetnsBench& bench) {
  return text("%-4s %11s  %-8s %9s %9s %9s  %s\n", "clock", "concurrency", "method", "p50 us",
              "p90 us", "p99 us", "p99 of the rounds") +
         clock_table(bench, "own") + clock_table(bench, "all") + ratios(bench);
}

std::vector<TargetRow> netns_rows(const NetnsBench& bench) {
  const auto& samples = bench.samples;
  std::vector<TargetRow> rows{lease_row(samples, "1", "p50", 5),
                              lease_row(samples, "2", "p99", 50),
                              flat_row(samples),
                              crowd_row(samples),
                              leftover_row(bench),
                              memory_row(samples, "5", "loopback"),
                              memory_row(samples, "6", "linked")};
  for (const auto rate : kLeaseRates) rows.push_back(sustained_row(samples, rate));
  return rows;
}

}  // namespace sock::bench
