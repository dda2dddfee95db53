#pragma once

#include <cstddef>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"

namespace sock::bench {

/// A user namespace, held by a process of its own, that knows how many network namespaces made in
/// it there are, dead ones included until the kernel has taken the last of them apart: the kernel
/// counts them for user.max_net_namespaces, and a limit of N refuses the one after N.
class UserNamespace {
 public:
  /// Only while this process has one thread (fork_child.h).
  [[nodiscard]] static Result<UserNamespace> make();

  /// For setns(2), PoolOptions::user_namespace and become_root_of(). Borrowed.
  [[nodiscard]] int pidfd() const { return process_.pidfd(); }

  /// Waits until no more than `alive` network namespaces of this user namespace exist, and returns
  /// when that was, to half a millisecond; kTimeout after `patience`. Nobody may make one
  /// meanwhile.
  [[nodiscard]] Result<Clock::time_point> await_drained(std::size_t alive, Millis patience);

 private:
  UserNamespace(Process process, Fd control)
      : process_(std::move(process)), control_(std::move(control)) {}

  Process process_;
  Fd control_;
};

/// Takes this process into the user namespace of the process behind `pidfd`, as its id 0, which
/// network namespaces are counted for. It must have one thread and `parent` for its parent, with
/// which it goes on to die.
[[nodiscard]] Result<> become_root_of(int pidfd, pid_t parent);

}  // namespace sock::bench
