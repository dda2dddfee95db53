#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/async_mutex.h"
#include "base/channel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "sandbox/rootfs.h"

namespace sock::sandbox {

/// What a shell is given for one call.
struct Attachments {
  Fd task;  ///< the function's folder (task_mount()), for /var/task
  /// Shown read-only at /var/wheels/0, 1, …: at most kMostWheelFolders (task_mount() too).
  std::vector<Fd> wheels = {};
  std::uint64_t tmp_bytes = 0;   ///< of /tmp, and of /dev/shm
  std::uint64_t tmp_inodes = 0;  ///< files in each of them
  /// Becomes the sandbox's /etc/resolv.conf: a read-only, nosuid, nodev, noexec mount of its own,
  /// for 10 to 20 µs more and a page of its /dev/shm. Empty: the file is the empty one that all
  /// sandboxes share, and looking up a name fails at once. Must live as long as the wait.
  std::string_view resolv_conf = {};
};

/// An empty sandbox: pid 1 of fresh pid, mount, ipc and uts namespaces in a leased netns, with
/// its own /proc, /tmp and /dev/shm. A zygote's clone joins it through `pidfd`.
/// Destruction closes its socket and kills it, and with it everything inside its pid namespace.
class Shell {
 public:
  Shell(Fd pidfd, Channel control);
  Shell(Shell&&) noexcept = default;
  Shell& operator=(Shell&& other) noexcept;
  ~Shell();

  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  /// Most bytes of a sandbox's /etc/resolv.conf.
  static constexpr std::size_t kLargestResolvConf = 1000;

  /// Attaches the folders and sizes /tmp; then pid 1 gives up all its privileges. Once only, before
  /// the call is sent. About 20 µs. kInvalid when there are too many folders, or the text for
  /// /etc/resolv.conf is too large.
  [[nodiscard]] boost::asio::awaitable<Result<>> attach(Attachments attachments,
                                                        Clock::time_point deadline);

  /// SIGKILL to pid 1: the kernel kills every process of the sandbox with it
  /// (pid_namespaces(7)). Idempotent.
  void kill() const;

 private:
  friend class Keeper;
  Fd pidfd_;
  Channel control_;
};

struct KeeperOptions {
  std::string program;              ///< path of sock-init
  std::uint32_t id_base = 100'000;  ///< host id of the namespace's id 0
  std::uint32_t id_count = 65'536;
  RootOptions root;
  /// Puts the keeper in a cgroup before it runs.
  std::function<Result<>(pid_t)> place;
  Millis timeout{5'000};  ///< of each wait for the keeper
};

/// Parent side of sock-init: owns the user namespace all sandboxes live in and builds shells.
/// Lives on one event loop; not thread safe. Destruction kills the keeper, and with it every
/// zygote and sandbox.
class Keeper {
 public:
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<Keeper>>> start(
      KeeperOptions options);

  /// Names the user, pid and mount namespaces for helpers that join them.
  [[nodiscard]] int pidfd() const { return process_.pidfd(); }
  [[nodiscard]] pid_t pid() const { return process_.pid(); }
  [[nodiscard]] std::uint32_t id_base() const { return options_.id_base; }
  [[nodiscard]] std::uint32_t id_count() const { return options_.id_count; }

  /// Kills the keeper and with it every process in its namespaces, and waits until they are gone.
  /// The event loop goes on meanwhile, which it must: the kernel ends a pid namespace's first
  /// process only when all others have been reaped by their parents, and for zygotes and clones
  /// that is us. False when it does not die before the deadline.
  [[nodiscard]] boost::asio::awaitable<bool> stop(Clock::time_point deadline);

  /// Builds one shell in `netns` (borrowed). Requests are served in turn, a few at a time.
  [[nodiscard]] boost::asio::awaitable<Result<Shell>> build_shell(int netns,
                                                                  std::uint64_t tmp_bytes);

 private:
  Keeper(KeeperOptions options, Process process, Channel control);
  [[nodiscard]] boost::asio::awaitable<Result<>> build_root();

  KeeperOptions options_;
  Process process_;
  Channel control_;
  /// One request each at a time: the keeper's queue is short (net.unix.max_dgram_qlen, 10), and a
  /// full one is an error.
  std::array<AsyncMutex, 4> lanes_;
  std::size_t next_lane_ = 0;
};

}  // namespace sock::sandbox
