#pragma once

#include <optional>

#include "base/clock.h"
#include "base/process.h"

namespace sock::bench {

/// Reaps `process` once it has ended; empty when it still runs after `wait`. Signals to this
/// process do not shorten the wait.
[[nodiscard]] std::optional<Exit> await_exit(Process& process, Millis wait);

}  // namespace sock::bench
