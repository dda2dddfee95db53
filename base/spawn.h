#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/process.h"

namespace sock {

/// How to start one of sock's own helper programs.
struct SpawnSpec {
  std::string program;            ///< path; executed by descriptor, so its folders may be private
  std::vector<std::string> args;  ///< argv[1…]
  std::vector<std::string> env;   ///< the whole environment, "K=V"; nothing is inherited
  std::vector<int> fds;           ///< become descriptors 3, 4, … in the child; all others close
  std::uint64_t clone_flags = 0;  ///< namespaces of its own (CLONE_NEW…), created with the child
  int pid_namespace = -1;         ///< a pidfd whose pid namespace the child is born in; -1 = ours
  /// Runs in the parent after the child exists and before it executes anything: write id maps,
  /// place it in cgroups. An error kills the child.
  std::function<Result<>(pid_t)> prepare;
};

/// A child with CLONE_NEWUSER becomes id 0 of that namespace, so `prepare` must write its maps.
///
/// Starts the program with SIGKILL as its parent-death signal, an empty signal mask, stdin on
/// /dev/null and stdout/stderr shared with ours.
///
/// Call it from the thread that lives as long as the process: the parent-death signal fires when
/// the spawning *thread* ends (PR_SET_PDEATHSIG(2const)). An exec that fails is reported here.
[[nodiscard]] Result<Process> spawn(const SpawnSpec& spec);

/// Folder of the running executable, where the helper programs live too.
[[nodiscard]] Result<std::string> program_folder();

}  // namespace sock
