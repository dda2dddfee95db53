#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/channel.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "netns-pool/wire.h"

namespace sock::netns {

struct BuilderOptions {
  std::string program;      ///< path of sock-netns
  int user_namespace = -1;  ///< pidfd of the namespace's holder, borrowed; -1: stay in ours
  /// Most network namespaces that the user namespace may own, those that the kernel is still taking
  /// apart included (user.max_net_namespaces there; namespaces(7)); 0: as it is.
  std::uint32_t most = 0;
  std::function<Result<>(pid_t)> place;  ///< puts the process into a cgroup; may be empty
};

/// One well-formed answer of the helper. What the descriptor is has not been checked yet.
struct BuildAnswer {
  enum class Kind { kBuilt, kBuildFailed, kStartFailed };
  Kind kind = Kind::kBuilt;
  Fd descriptor;               ///< kBuilt
  Fd census;                   ///< kBuilt; may be empty
  Fd route;                    ///< kBuilt, with kRoutable
  std::uint64_t inode = 0;     ///< kBuilt, by the helper's word
  std::uint64_t build_us = 0;  ///< kBuilt
  Error error;                 ///< the other kinds
};

/// The helper process sock-netns and the socket to it (netns-pool/wire.h). Its destruction kills
/// and reaps the process. Not thread safe; one receiver at a time.
class BuilderProcess {
 public:
  /// Starts the program; a fork and exec long it blocks the calling thread, which must be one that
  /// lives as long as the daemon (base/spawn.h).
  [[nodiscard]] static Result<std::unique_ptr<BuilderProcess>> start(
      const boost::asio::any_io_executor& executor, const BuilderOptions& options);

  BuilderProcess(const boost::asio::any_io_executor& executor, Process process, Fd socket);

  /// Asks for `count` namespaces, 1…kMaxBatch; each is answered by one message.
  [[nodiscard]] Result<> request(std::size_t count, Furnish furnish);

  /// The next answer; kTimeout at the deadline, kKilled when the helper is gone, kInvalid when
  /// what it sent is no answer.
  [[nodiscard]] boost::asio::awaitable<Result<BuildAnswer>> receive(Clock::time_point deadline);

  /// Kills the helper and wakes the receiver with an error. Does not wait.
  void kill();

  /// After kill(): waits for the process to be gone without blocking the loop, at most until the
  /// deadline, and reaps it.
  [[nodiscard]] boost::asio::awaitable<void> reap(Clock::time_point deadline);

 private:
  Process process_;
  Channel channel_;
};

}  // namespace sock::netns
