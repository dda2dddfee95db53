#include "manager/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <functional>
#include <map>
#include <unordered_map>

namespace sock::manager {

namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

constexpr std::string_view kOther = "other";
constexpr std::size_t kStarts = 4;
constexpr std::size_t kStatuses = 11;  // "ok" and each Code

/// 50 µs to 30 s, about three steps a decade.
const Histogram::BucketBoundaries kBuckets{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3,
                                           5e-3,  10e-3,  20e-3,  50e-3,  0.1,  0.2,
                                           0.5,   1.0,    2.0,    5.0,    10.0, 30.0};

double seconds(std::int64_t micros) { return static_cast<double>(micros) * 1e-6; }

/// Lets string keys be looked up by view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

/// Counters of one function, each made when first needed.
using FunctionCounters = std::array<Counter*, kStatuses * kStarts>;

}  // namespace

struct Metrics::Impl {
  template <class T>
  Family<T>& family(const char* name, const char* help) {
    if constexpr (std::is_same_v<T, Counter>) {
      return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    } else if constexpr (std::is_same_v<T, Gauge>) {
      return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
    } else {
      return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
    }
  }

  Histogram& phase(const char* name) { return durations.Add({{"phase", name}}, kBuckets); }
  Gauge& sandbox(const char* state) { return sandboxes.Add({{"state", state}}); }
  Counter& invocations_of(const CallRecord& call);

  prometheus::Registry registry;
  Family<Counter>& invocations =
      family<Counter>("sock_invocations_total", "Calls by outcome and by origin of the sandbox");
  Family<Histogram>& durations =
      family<Histogram>("sock_invocation_duration_seconds", "Time that calls spend in each phase");
  Family<Gauge>& sandboxes = family<Gauge>("sock_sandboxes", "Sandboxes that exist");
  Family<Gauge>& zygotes = family<Gauge>("sock_zygotes", "Zygotes by the packages they hold");
  Family<Gauge>& zygote_memory =
      family<Gauge>("sock_zygote_memory_bytes", "Memory of zygotes by the packages they hold");
  Family<Gauge>& netns =
      family<Gauge>("sock_netns_pool", "Network namespaces: ready, limits, totals since the start");
  Family<Counter>& netns_burned =
      family<Counter>("sock_netns_burned_total", "Used network namespaces destroyed, by reason");
  Family<Gauge>& queue_family = family<Gauge>("sock_queue_depth", "Calls that wait for admission");
  Family<Counter>& rejections =
      family<Counter>("sock_rejected_total", "Calls that were turned away");

  Histogram& queue = phase("queue");
  Histogram& create = phase("create");
  Histogram& init = phase("init");
  Histogram& run = phase("run");
  Histogram& total = phase("total");
  Gauge& parked = sandbox("parked");
  Gauge& running = sandbox("running");
  Gauge& dying = sandbox("dying");
  Gauge& queue_depth = queue_family.Add({});

  struct ZygoteGauges {
    Gauge* count = nullptr;
    Gauge* memory = nullptr;
  };
  TextMap<FunctionCounters> functions;
  TextMap<ZygoteGauges> zygote_gauges;
  TextMap<Counter*> reasons;
};

Counter& Metrics::Impl::invocations_of(const CallRecord& call) {
  std::string_view name = call.function;
  if (call.error && call.error->code == Code::kNotFound) name = kOther;
  auto known = functions.find(name);
  if (known == functions.end()) {
    if (functions.size() >= kMaxFunctions) name = kOther;
    known = functions.try_emplace(std::string(name)).first;
  }
  const std::size_t status = call.error ? 1 + static_cast<std::size_t>(call.error->code) : 0;
  Counter*& counter = known->second.at(status * kStarts + static_cast<std::size_t>(call.start));
  if (counter == nullptr) {
    const std::string_view word = call.error ? to_string(call.error->code) : "ok";
    counter = &invocations.Add({{"function", known->first},
                                {"status", std::string(word)},
                                {"start", std::string(to_string(call.start))}});
  }
  return *counter;
}

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::record(const CallRecord& call) {
  impl_->invocations_of(call).Increment();
  impl_->queue.Observe(seconds(call.queue_us));
  impl_->total.Observe(seconds(call.total_us));
  if (call.start == Start::kNone) return;
  impl_->create.Observe(seconds(call.create_us));
  impl_->init.Observe(seconds(call.init_us));
  impl_->run.Observe(seconds(call.run_us));
}

void Metrics::set_sandboxes(const Sandboxes& counts) {
  impl_->parked.Set(static_cast<double>(counts.parked));
  impl_->running.Set(static_cast<double>(counts.running));
  impl_->dying.Set(static_cast<double>(counts.dying));
}

void Metrics::set_zygotes(std::span<const Zygote> zygotes) {
  struct Sum {
    double count = 0;
    double memory = 0;
  };
  std::map<std::string, Sum, std::less<>> sums;
  for (const Zygote& zygote : zygotes) {
    const bool fits = sums.size() < kMaxZygotes || sums.contains(zygote.packages);
    Sum& sum = sums[fits ? zygote.packages : std::string(kOther)];
    sum.count += 1;
    sum.memory += static_cast<double>(zygote.memory_bytes);
  }
  std::erase_if(impl_->zygote_gauges, [&](const auto& known) {
    if (sums.contains(known.first)) return false;
    impl_->zygotes.Remove(known.second.count);
    impl_->zygote_memory.Remove(known.second.memory);
    return true;
  });
  for (const auto& [packages, sum] : sums) {
    Impl::ZygoteGauges& gauges = impl_->zygote_gauges[packages];
    if (gauges.count == nullptr) {
      gauges.count = &impl_->zygotes.Add({{"packages", packages}});
      gauges.memory = &impl_->zygote_memory.Add({{"packages", packages}});
    }
    gauges.count->Set(sum.count);
    gauges.memory->Set(sum.memory);
  }
}

void Metrics::set_netns(std::string_view network, const netns::PoolStats& stats) {
  const std::string of(network);
  // Adding what is there already gives it back.
  const auto set = [&](const char* state, std::uint64_t value) {
    impl_->netns.Add({{"class", of}, {"state", state}}).Set(static_cast<double>(value));
  };
  set("ready", stats.ready);
  set("kept", stats.kept);
  set("leased", stats.leased);
  set("target", stats.target);
  set("low", stats.low);
  set("high", stats.high);
  set("most", stats.most);
  set("leases_total", stats.leases);
  set("builds_total", stats.builds);
  set("misses_total", stats.misses);
  set("returned_total", stats.returned);
  set("burned_total", stats.burned);
  set("destroyed_total", stats.destroyed);
  set("failures_total", stats.failures);
  set("full_total", stats.full);
  for (const auto& [reason, count] : stats.burns) {
    Counter& counter = impl_->netns_burned.Add({{"class", of}, {"reason", reason}});
    counter.Increment(static_cast<double>(count) - counter.Value());
  }
}

void Metrics::set_queue_depth(std::uint64_t waiting) {
  impl_->queue_depth.Set(static_cast<double>(waiting));
}

void Metrics::rejected(std::string_view reason) {
  auto known = impl_->reasons.find(reason);
  if (known == impl_->reasons.end()) {
    if (impl_->reasons.size() >= kMaxReasons) reason = kOther;
    Counter& counter = impl_->rejections.Add({{"reason", std::string(reason)}});
    known = impl_->reasons.try_emplace(std::string(reason), &counter).first;
  }
  known->second->Increment();
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace sock::manager
