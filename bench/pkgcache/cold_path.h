#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "bench/pkgcache/replay.h"

namespace sock::bench {

/// A function whose set of packages nobody has asked for before, deployed and called.
struct ColdPath {
  std::vector<std::string> packages;  ///< that it asks for; the host's own
  ServedCall from_root;   ///< for comparison: its first call by a daemon with the root alone
  ServedCall first;       ///< by a daemon with zygotes for part of its packages
  ServedCall second;      ///< once there was a zygote with all of them, or none came in time
  double zygote_ms = -1;  ///< from the first call's end until there was one; -1: there was none
};

/// Daemons of its own in `home`, which exists and is empty.
[[nodiscard]] Result<ColdPath> run_cold_path(const std::string& sockd,
                                             const std::filesystem::path& home,
                                             const std::atomic<bool>& interrupted);

}  // namespace sock::bench
