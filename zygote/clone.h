#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <span>

#include "base/clock.h"
#include "zygote/wire.h"

namespace sock::zygote {

/// What a clone's parent hands it; all descriptors are the zygote's own numbers.
struct ClonePlan {
  Request request;
  int shell = -1;
  int connection = -1;
  int log = -1;
  int image = -1;    ///< -1 for a clone of the zygote itself
  int touches = -1;  ///< -1 when nothing is to be populated
  int cgroup = -1;   ///< -1 when it is not born into one
  std::span<const sock_filter> filter;
};

struct Cloned {
  int pidfd = -1;  ///< -1 with `error` set on failure
  int error = 0;
};

/// Clones this process into the shell's pid namespace, as a child of sockd (CLONE_PARENT), and
/// runs the clone's life there: it confines itself, parks, serves one call and exits.
///
/// The parent allocates nothing and writes only to its stack. Why this way of the two that work:
/// docs/architecture.md, "How a clone is made".
[[nodiscard]] Cloned make_clone(const ClonePlan& plan);

/// A bare clone in the zygote's own namespaces: a child zygote. Returns twice: in the child
/// `pidfd` is -1 and `error` is 0.
[[nodiscard]] Cloned make_fork();

/// Writes this process's thread id where glibc caches it, after memory was restored from a process
/// with another one.
void renew_thread_id();

/// A clone that this process waits for: runs `life` and exits, with 0 when that returns true. False
/// when it did not, or not within `timeout`.
[[nodiscard]] bool trial_clone(bool (*life)(), Millis timeout);

/// Looks up what clones need from glibc (the addresses of the thread id and of the robust-futex
/// list, which a raw clone must restore as fork() does). Once, before the first clone.
[[nodiscard]] bool prepare_cloning();

}  // namespace sock::zygote
