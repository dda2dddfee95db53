#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "bench/round.h"

namespace sock::bench {

/// Another way to give every call a fresh interpreter: one command a call.
struct Command {
  std::string program;
  std::vector<std::string> args;
  bool waits_for_all = true;   ///< it reaps what it started, so its CPU time is complete
  bool needs_pure_v2 = false;  ///< it does not work where cgroup v1 and v2 are mixed
};

/// `/usr/bin/python3 -c 'import …'`: a fresh process without any isolation.
[[nodiscard]] Command python_command(const std::string& package);

/// The same in `bwrap --unshare-all`: all namespaces, no capabilities, read-only system files.
[[nodiscard]] Command bwrap_command(const std::string& package);

/// The same in `crun run`, without cgroup limits; writes the OCI bundle to `home`/bundle-….
/// Concurrent containers need different ids: "@" in an argument stands for the call's number.
/// On a hybrid host crun runs in a mount namespace that shows it the v2 hierarchy only.
[[nodiscard]] Result<Command> crun_command(const std::string& package,
                                           const std::filesystem::path& home);

struct BaselineSpec {
  unsigned workers = 1;
  Millis window{3000};
  const std::atomic<bool>* stop = nullptr;
};

/// Each worker starts the command, waits for its end, and starts it again; at least once.
[[nodiscard]] Round drive_command(const Command& command, const BaselineSpec& spec);

/// `script` (fork_loop.py) in an interpreter that has imported `package`: os.fork() per call.
[[nodiscard]] Result<Round> drive_fork_loop(const std::string& script, const std::string& package,
                                            const std::filesystem::path& home,
                                            const BaselineSpec& spec);

}  // namespace sock::bench
