#include "bench/await_exit.h"

#include <poll.h>

#include <algorithm>

namespace sock::bench {

std::optional<Exit> await_exit(Process& process, Millis wait) {
  const auto deadline = Clock::now() + wait;
  for (;;) {
    const auto left = std::chrono::ceil<Millis>(deadline - Clock::now()).count();
    pollfd end{process.pidfd(), POLLIN, 0};
    const int ready = ::poll(&end, 1, static_cast<int>(std::max<Millis::rep>(left, 0)));
    if (ready > 0) return process.try_reap();
    if (ready == 0 || errno != EINTR) return std::nullopt;
  }
}

}  // namespace sock::bench
