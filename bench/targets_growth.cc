#include "bench/targets_growth.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <mutex>
#include <thread>

#include "bench/gauges.h"
#include "bench/kept_connection.h"
#include "bench/load.h"
#include "bench/progress.h"
#include "bench/targets_table.h"

namespace sock::bench {
namespace {

namespace json = boost::json;

constexpr unsigned kClients = 8;
constexpr std::uint64_t kWarmUp = 2000;
constexpr int kQuarters = 4;
/// Within which the pools have given back what a busy moment left behind.
constexpr auto kRest = std::chrono::seconds(100);

/// Stocks of one size, so that what is held does not follow the load; every zygote is replaced
/// three times in 100,000 calls.
constexpr const char* kConfig =
    "[parked]\nmin = 8\nmax = 8\n[netns]\nlow = 32\nhigh = 32\n[zygotes]\nrotate_clones = 30000\n";

/// A number of calls shared out among the clients.
class Mix {
 public:
  Mix(std::string socket, std::uint64_t calls, const std::atomic<bool>& interrupted)
      : socket_(std::move(socket)), left_(calls), interrupted_(interrupted) {}

  /// Errors by kind; empty when every answer was that of a fresh sandbox.
  std::map<std::string, std::uint64_t> run() {
    {
      std::vector<std::jthread> clients;
      for (unsigned i = 0; i < kClients; ++i) clients.emplace_back([this] { client(); });
    }
    return errors_;
  }

 private:
  void client() {
    auto connection = KeptConnection::open(socket_);
    for (std::uint64_t number = 0; (number = take()) > 0;) {
      if (!connection) connection = KeptConnection::open(socket_);
      if (!connection) {
        count(connection.error().describe());
        return;  // a daemon that takes no connection is gone
      }
      const std::string packages = kPackageSets[number % kPackageSets.size()];
      const auto answer = connection->invoke("noop-" + packages, "{}");
      if (!answer) {
        count(answer.error().describe());
        connection = std::unexpected(answer.error());
      } else if (answer->status != 200) {
        count("HTTP " + std::to_string(answer->status));
      } else if (answer->body != kFreshAnswer) {
        count("not a fresh sandbox");
      }
    }
  }

  /// 0 when there are none left.
  std::uint64_t take() {
    const std::scoped_lock guard(lock_);
    if (left_ == 0 || interrupted_) return 0;
    return left_--;
  }

  void count(const std::string& error) {
    const std::scoped_lock guard(lock_);
    ++errors_[error];
  }

  const std::string socket_;
  std::mutex lock_;
  std::uint64_t left_;
  const std::atomic<bool>& interrupted_;
  std::map<std::string, std::uint64_t> errors_;
};

class Growth {
 public:
  Growth(TargetContext& context, Instance& instance) : context_(context), instance_(instance) {}

  Result<> run() {
    for (const std::string packages : kPackageSets) {
      const auto module = module_of(packages);
      Deployment function;
      function.name = "noop-" + packages;
      function.source = noop_source(module);
      if (!module.empty()) function.requirements = {module};
      if (auto done = deploy_and_warm(instance_.socket(), function); !done) return done;
    }
    show_progress("warming up: " + std::to_string(kWarmUp) + " calls");
    serve(kWarmUp);
    if (auto done = read("start"); !done) return done;
    const auto calls = context_.options.growth;
    for (int quarter = 1; quarter <= kQuarters && !context_.interrupted; ++quarter) {
      const auto label = std::to_string(quarter * 100 / kQuarters) + "%";
      show_progress(std::to_string(calls) + " calls: to " + label);
      serve(calls * static_cast<std::uint64_t>(quarter) / kQuarters -
            calls * static_cast<std::uint64_t>(quarter - 1) / kQuarters);
      if (auto done = read(quarter == kQuarters ? "end" : label); !done) return done;
    }
    return rest();
  }

  [[nodiscard]] GrowthReport report(const Host& host) const {
    GrowthReport out;
    json::object all;
    out.table = describe(host) + "\n" + std::to_string(context_.options.growth) +
                " calls, bare, numpy and pandas in turn, " + std::to_string(kClients) +
                " clients; start is after " + std::to_string(kWarmUp) +
                " calls, judged is the end, at rest, against 25%\n\n";
    add_cell(out.table, "", -22);
    for (const auto& [label, gauges] : readings_) add_cell(out.table, label, 12);
    add_cell(out.table, "may grow by", 14);
    out.table += "  verdict\n";
    for (const auto& kind : kGauges) add_line(out, all, kind);
    for (const auto& [error, count] : errors_) {
      out.table += "errors: " + error + ": " + std::to_string(count) + "\n";
      out.grew = true;  // a call that fails proves nothing about growth
    }
    json::object errors;
    for (const auto& [error, count] : errors_) errors[error] = count;
    json::object document{{"version", 1}, {"calls", context_.options.growth}};
    document["host"] = to_json(host);
    document["gauges"] = std::move(all);
    document["errors"] = std::move(errors);
    document["grew"] = out.grew;
    out.json = json::serialize(document) + "\n";
    return out;
  }

 private:
  void serve(std::uint64_t calls) {
    for (const auto& [error, count] : Mix(instance_.socket(), calls, context_.interrupted).run()) {
      errors_[error] += count;
    }
  }

  Result<> read(const std::string& label) {
    if (context_.interrupted) return {};
    auto gauges = settled_gauges(instance_);
    if (!gauges) return std::unexpected(gauges.error());
    readings_.emplace_back(label, *gauges);
    return {};
  }

  /// What is held when the load is gone and the pools had time to shrink is what grew.
  Result<> rest() {
    const auto deadline = Clock::now() + kRest;
    const auto grown = [this] {
      return std::ranges::any_of(kGauges, [this](const GaugeKind& kind) {
        return grew(kind, readings_[1].second, readings_.back().second);
      });
    };
    while (!context_.interrupted && grown() && Clock::now() < deadline) {
      show_progress("waiting for the pools to shrink");
      std::this_thread::sleep_for(std::chrono::seconds(2));
      readings_.pop_back();
      if (auto done = read("end"); !done) return done;
    }
    return {};
  }

  void add_line(GrowthReport& out, json::object& all, const GaugeKind& kind) const {
    if (readings_.empty()) return;
    // Pools keep what a busy moment needed for a while; a quarter of the calls has met one, the
    // warm-up may not have. What leaks goes on growing after that.
    const auto& first = readings_[readings_.size() > 1 ? 1 : 0].second;
    const auto& last = readings_.back().second;
    add_cell(out.table, kind.name, -22);
    json::array values;
    for (const auto& [label, gauges] : readings_) {
      add_cell(out.table, in_digits(gauges.*kind.field / kind.unit, kind.unit > 1 ? 1 : 0), 12);
      values.push_back(gauges.*kind.field);
    }
    all[kind.name] = std::move(values);
    if (kind.relative < 0) {
      out.table += "   (for information)\n";
      return;
    }
    const double allowed = kind.absolute + kind.relative * (first.*kind.field);
    add_cell(out.table, in_digits(allowed / kind.unit, kind.unit > 1 ? 1 : 0), 14);
    const bool bad = grew(kind, first, last);
    out.table += bad ? "  GREW\n" : "  steady\n";
    out.grew = out.grew || bad;
  }

  static void add_cell(std::string& out, const std::string& text, int width) {
    char cell[64];
    std::snprintf(cell, sizeof cell, "%*s", width, text.c_str());
    out += cell;
  }

  TargetContext& context_;
  Instance& instance_;
  std::vector<std::pair<std::string, Gauges>> readings_;
  std::map<std::string, std::uint64_t> errors_;
};

}  // namespace

Result<GrowthReport> run_growth(TargetContext& context) {
  auto instance = start_daemon(context.options, context.home, kConfig);
  if (!instance) return std::unexpected(instance.error());
  const auto host = read_host();
  Growth growth(context, *instance);
  if (auto done = growth.run(); !done) return std::unexpected(done.error());
  if (auto stopped = instance->stop(); !stopped) return std::unexpected(stopped.error());
  return growth.report(host);
}

}  // namespace sock::bench
