#pragma once

#include <functional>
#include <vector>

namespace sock::manager {

/// Says when a stock may make a clone ahead of demand, so that doing so does not slow the calls
/// that run: one at a time in all, more only while a CPU has nothing else to do.
///
/// That one is always allowed, or a busy machine would never refill. On one that is saturated it
/// changes little: a call that finds nothing makes its clone itself, at the same cost in CPU, so
/// throughput is the same and only who waits differs.
///
/// On the event loop; not thread safe.
class StockGate {
 public:
  /// `idle_cpu` says whether a CPU is idle at this moment; asked for every clone.
  explicit StockGate(std::function<bool()> idle_cpu) : idle_cpu_(std::move(idle_cpu)) {}

  /// Leave to make one clone, until leave(). If refused, `retry` is called once when another has
  /// left; it must be safe to call at any time.
  [[nodiscard]] bool enter(const std::function<void()>& retry);
  /// For the first clone of a stock below its minimum: not refused.
  void enter_anyway() { ++inside_; }
  void leave();

 private:
  std::function<bool()> idle_cpu_;
  unsigned inside_ = 0;
  std::vector<std::function<void()>> refused_;
};

/// Whether fewer tasks are runnable than there are CPUs, this process not counted. From
/// /proc/loadavg, whose number of runnable tasks is of this very moment, at under a microsecond a
/// look; /proc/pressure/cpu is updated only every two seconds. True when it cannot be read.
[[nodiscard]] bool has_idle_cpu();

}  // namespace sock::manager
