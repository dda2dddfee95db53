#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/process.h"
#include "bench/user_namespace.h"

namespace sock::bench {

/// How a starter comes by its network namespace.
enum class Method : std::uint32_t {
  kNone,     ///< it stays where it is: what everything but the network costs
  kUnshare,  ///< unshare(CLONE_NEWNET), loopback up
  kLinked,   ///< a new one, verified, with a veth link to a bridge, addresses, routes, firewall
  kPooled,   ///< from the pool: setns(2)
};

inline constexpr std::array kMethods{Method::kNone, Method::kUnshare, Method::kLinked,
                                     Method::kPooled};

/// "none", "unshare", "linked", "pooled".
[[nodiscard]] std::string name_of(Method method);

/// What a starter says of one start.
struct Start {
  std::int64_t began = 0;  ///< Clock's nanoseconds: its first instruction after the barrier
  std::int64_t ended = 0;  ///< when its socket was bound
  /// Nanoseconds in between that it could have run, had there been a processor for it; 0 where the
  /// kernel does not tell (CONFIG_SCHED_INFO).
  std::int64_t queued = 0;
  int error = 0;
  const char* step = nullptr;  ///< that failed; null when none did
};

/// Processes that start what a sandbox needs of the network, as many at a time as they are told to.
/// Each has one thread and is there before it is asked, as parked clones are; each ends a start
/// inside a network namespace of its own, with a UDP socket bound to 127.0.0.1, and keeps what it
/// made until release().
///
/// Processes, not threads: a sandbox has descriptors and credentials of its own, and threads would
/// share those tables' locks.
class Starters {
 public:
  /// Gives a new namespace, and a rtnetlink socket in it, what kLinked promises.
  using Link = std::function<Result<>(Fd netns, Fd route)>;

  /// Only while this process has one thread (fork_child.h).
  [[nodiscard]] static Result<Starters> fork(std::size_t count, const UserNamespace& users);

  /// Network namespaces of the user namespace that they are in between starts.
  [[nodiscard]] std::size_t namespaces() const { return processes_.size(); }

  /// Announces that so many starters, the first ones, will be asked to start; then each is.
  void expect(std::size_t count);
  /// `netns` is kPooled's, borrowed. The starter wakes up, but does nothing before go(): no start
  /// is to be interrupted because another starter is being woken.
  [[nodiscard]] Result<> start(std::size_t starter, Method method, int netns = -1);
  /// Lets all that were expected start, once they are awake; returns when it did.
  [[nodiscard]] Result<Clock::time_point> go();
  /// Until all that were expected have ended, linking those that ask for it.
  [[nodiscard]] Result<> await(const Link& link = {});

  /// Of the latest start of one.
  [[nodiscard]] const Start& result(std::size_t starter) const;

  /// Takes the first `count` out of the namespaces they started in, which the starters of kUnshare
  /// keep alive. An error when one was not in a namespace of its own after all.
  [[nodiscard]] Result<> leave(std::size_t count);

  /// Lets go of all those namespaces.
  [[nodiscard]] Result<> release();

 private:
  struct Board;
  struct Unmap {
    std::size_t size;
    void operator()(Board* board) const;
  };
  class Child;

  Starters() = default;
  [[nodiscard]] Result<> order(std::size_t starter, std::uint32_t kind, Method method, int netns);
  [[nodiscard]] Result<> order_all(std::size_t count, std::uint32_t kind);
  [[nodiscard]] Result<> answer(std::size_t starter, const Link& link);

  std::unique_ptr<Board, Unmap> board_;  // shared with the processes
  Fd done_;                              // eventfd: the last of those expected has ended
  std::vector<Fd> controls_;
  std::vector<Process> processes_;
  std::size_t expected_ = 0;
};

}  // namespace sock::bench
