#pragma once

#include <atomic>

namespace sock::bench {

/// From here on SIGINT and SIGTERM end nothing by themselves but set what this returns, so that the
/// measurement ends in order and what it started is stopped, not orphaned. SIGPIPE is ignored.
[[nodiscard]] const std::atomic<bool>& catch_interrupts();

}  // namespace sock::bench
