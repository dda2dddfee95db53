#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/instance.h"

namespace sock::bench {

/// The zygotes that a daemon has, as GET /v1/zygotes tells.
struct LiveTree {
  std::size_t ready = 0;  ///< with the root
  std::size_t starting = 0;
  std::vector<std::string> failed;                 ///< "ID: why"
  std::vector<std::vector<std::string>> packages;  ///< "numpy==1.24.2", of those that are ready
  std::vector<int> pids;                           ///< of those that are ready
  double memory_mb = 0;    ///< proportional (PSS), with the root: their clones bear a part
  double creation_ms = 0;  ///< imports of those that stand
};

/// Of the answer to GET /v1/zygotes.
[[nodiscard]] Result<LiveTree> parse_live_tree(const std::string& json);

[[nodiscard]] Result<LiveTree> read_live_tree(const std::string& socket);

/// What a daemon's zygotes and parked clones take together, in MB.
struct ZygoteMemory {
  double all = 0;          ///< PSS of all of them
  double without_own = 0;  ///< less what the clones share with nobody: what the zygotes take
};

[[nodiscard]] ZygoteMemory memory_of(const Instance& instance, const LiveTree& tree);

/// Until `zygotes` are ready or have failed, and the daemon with all it started has done next to
/// nothing for two seconds. kTimeout, naming what is missing, when that takes longer than `within`.
[[nodiscard]] Result<LiveTree> await_settled(const Instance& instance, std::size_t zygotes,
                                             Millis within, const std::atomic<bool>& interrupted);

}  // namespace sock::bench
