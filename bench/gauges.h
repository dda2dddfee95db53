#pragma once

#include <array>

#include "base/error.h"
#include "bench/instance.h"

namespace sock::bench {

/// What a daemon holds, to see whether it grows with the number of calls.
struct Gauges {
  double rss = 0;          ///< sockd's, bytes
  double threads = 0;      ///< sockd's
  double descriptors = 0;  ///< sockd's
  double cgroups = 0;      ///< directories below its parent, in all hierarchies
  double netns = 0;        ///< network namespaces that are built and not destroyed
  double processes = 0;    ///< in its cgroup, zygotes, shells and parked clones included
  double zombies = 0;      ///< among those, and the daemon's children
  double zygotes_pss = 0;  ///< bytes
  double dentries = 0;     ///< of the whole machine: for information
};

/// A gauge, how it is shown, and by how much it may end above its start.
struct GaugeKind {
  const char* name;
  double Gauges::*field;
  double unit;      ///< shown divided by this
  double absolute;  ///< tolerance, in what the gauge counts
  double relative;  ///< and as a part of the start; negative: for information only
};

/// Stocks breathe by a few sandboxes, and the pool keeps a cgroup for as many as ever lived at
/// once; a leak of one object in a hundred calls of a long run is far above.
inline constexpr std::array<GaugeKind, 9> kGauges{{
    {"sockd RSS MB", &Gauges::rss, 1e6, 2e6, 0.05},
    {"sockd threads", &Gauges::threads, 1, 0, 0},
    {"sockd descriptors", &Gauges::descriptors, 1, 32, 0},
    {"cgroups", &Gauges::cgroups, 1, 32, 0.5},
    {"network namespaces", &Gauges::netns, 1, 32, 0},
    {"processes", &Gauges::processes, 1, 8, 0},
    {"zombies", &Gauges::zombies, 1, 0, 0},
    {"zygotes Pss MB", &Gauges::zygotes_pss, 1e6, 8e6, 0.05},
    {"dentries (machine)", &Gauges::dentries, 1, 0, -1},
}};

/// Whether `end` is above `start` by more than the gauge allows.
[[nodiscard]] bool grew(const GaugeKind& kind, const Gauges& start, const Gauges& end);

/// Reads all of them.
[[nodiscard]] Result<Gauges> read_gauges(const Instance& instance);

/// Waits until no zygote is starting, no call is running and two readings in a row, half a second
/// apart, agree in every count; then returns the latter. kTimeout after a minute.
[[nodiscard]] Result<Gauges> settled_gauges(const Instance& instance);

}  // namespace sock::bench
