#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/round.h"

namespace sock::bench {

/// A baseline that times itself, because starting it is not what is measured: fork_loop.py,
/// warm_call.py, clone_floor.
struct MeasuringProgram {
  std::string program;
  std::vector<std::string> args;  ///< its own; --seconds, --workers and --output are added
  std::filesystem::path home;     ///< an existing folder for what it writes
  unsigned workers = 1;
  Millis window{3000};
};

/// Runs it and reads what it wrote; up to a minute longer than its window. Its messages go to
/// stderr. Call it from the main thread (see spawn()).
[[nodiscard]] Result<Round> drive_program(const MeasuringProgram& program);

/// The whole environment of a baseline. One thread for BLAS everywhere: starting a pool of threads
/// would be charged to the baselines alone, as sock's zygotes are single-threaded.
[[nodiscard]] std::vector<std::string> baseline_environment();

}  // namespace sock::bench
