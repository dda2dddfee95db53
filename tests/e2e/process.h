#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"

namespace sock::e2e {

/// Where a launched program's standard streams go: descriptors of the caller's, or -1 for
/// /dev/null.
struct Streams {
  int in = -1;
  int out = -1;
  int err = -1;
};

/// Starts a program with this environment less every SOCK_* variable, plus `extra_env` ("K=V").
/// It gets SIGTERM when the calling thread ends, so that a test that is killed leaves nothing.
[[nodiscard]] Result<Process> launch(const std::string& program,
                                     const std::vector<std::string>& args, const Streams& streams,
                                     const std::vector<std::string>& extra_env = {});

/// Waits for the end, at most until `deadline`; empty when it still runs then.
[[nodiscard]] std::optional<Exit> wait_exit(Process& process, Clock::time_point deadline);

/// An exit as a shell reports it: 128+N for signal N.
[[nodiscard]] int shell_status(const Exit& exit);

/// What a finished program left.
struct Finished {
  int exit = -1;  ///< as a shell reports it; -1 when it had to be killed at the deadline
  std::string out;
  std::string err;
};

/// Runs a program to its end with `input` on stdin. At most 60 seconds.
[[nodiscard]] Finished run_program(const std::string& program, const std::vector<std::string>& args,
                                   const std::string& input = "");

/// Calls `done` every few milliseconds until it is true or `timeout` has passed; what it last said.
template <class Predicate>
[[nodiscard]] bool eventually(Predicate done, Millis timeout = Millis(10'000));

/// Sleeps a few milliseconds: between two looks at something that cannot be waited for.
void pause_briefly();

template <class Predicate>
bool eventually(Predicate done, Millis timeout) {
  const auto deadline = Clock::now() + timeout;
  for (;;) {
    if (done()) return true;
    if (Clock::now() >= deadline) return false;
    pause_briefly();
  }
}

}  // namespace sock::e2e
