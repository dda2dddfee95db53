#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/fd.h"

namespace sock {

/// How a process ended.
struct Exit {
  bool signalled = false;
  int status = 0;  ///< exit code, or the signal's number when `signalled`
  rusage usage{};  ///< of the process and the children it waited for
};

/// One child, held by pidfd. Destruction kills and reaps it unless released, so no path leaves a
/// process behind. Not thread safe.
class Process {
 public:
  Process() = default;
  Process(Fd pidfd, pid_t pid) : pidfd_(std::move(pidfd)), pid_(pid) {}
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  [[nodiscard]] bool valid() const { return pidfd_.valid(); }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  /// In this process's pid namespace; for reading /proc and for logs, never for kill().
  [[nodiscard]] pid_t pid() const { return pid_; }

  /// pidfd_send_signal(2); a process that is already gone is not an error.
  void signal(int number) const;

  /// Reaps without blocking; empty while it runs. Works for children cloned without an exit
  /// signal as well (__WALL).
  [[nodiscard]] std::optional<Exit> try_reap();

  /// SIGKILL and reap, blocking until the kernel has torn it down.
  Exit kill_and_reap();

  /// Gives the pidfd away without killing.
  [[nodiscard]] Fd release();

 private:
  [[nodiscard]] std::optional<Exit> reap(int options);

  Fd pidfd_;
  pid_t pid_ = -1;
};

/// What the kernel tells of the process behind a pidfd in one call.
struct PidfdInfo {
  pid_t pid = -1;               ///< as seen from this pid namespace
  std::uint64_t cgroup_id = 0;  ///< the inode of its cgroup v2 directory; 0 where there is none
};

/// PIDFD_GET_INFO, Linux 6.13; empty before it, and when the process has been reaped.
[[nodiscard]] std::optional<PidfdInfo> pidfd_info(int pidfd);

/// The pid behind a pidfd, as seen from this pid namespace; where there is no pidfd_info(), from
/// fdinfo (proc_pid_fdinfo(5)).
/// Fails when the process has been reaped.
[[nodiscard]] Result<pid_t> pid_of(int pidfd);

}  // namespace sock
