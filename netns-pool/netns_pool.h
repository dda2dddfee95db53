#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "netns-pool/netns.h"
#include "netns-pool/wire.h"

namespace sock::netns {

struct PoolOptions {
  std::size_t low = 8;         ///< refill starts when fewer are ready
  std::size_t high = 32;       ///< and stops here; at most NetnsPool::kMaxHigh
  Millis build_timeout{2000};  ///< longest wait of a lease, and for one answer of the helper
  std::string helper;          ///< path of sock-netns
  /// pidfd of a process in the user namespace that shall own the namespaces; borrowed for the
  /// pool's life, because a helper that died is started anew into it. -1: our own.
  int user_namespace = -1;
  /// Puts the helper, by pid, into its cgroup, each time one is started; may be empty.
  std::function<Result<>(pid_t)> place_helper;
  /// Over all processes that will ever be in a leased namespace. Null: each is used once only.
  std::shared_ptr<const UseWatch> watch;
  /// kRoutable for those that NatNetwork shall give a link to: one more descriptor each.
  Furnish furnish = Furnish::kLoopback;
};

struct PoolStats {
  std::size_t ready = 0;
  std::size_t low = 0;
  std::size_t high = 0;
  std::uint64_t leases = 0;     ///< handed out
  std::uint64_t builds = 0;     ///< built and accepted
  std::uint64_t misses = 0;     ///< leases that had to wait for a build, served or not
  std::uint64_t returned = 0;   ///< given back as built, and in stock again
  std::uint64_t burned = 0;     ///< given back otherwise, and destroyed
  std::uint64_t destroyed = 0;  ///< burned, retired, superfluous, or in stock when the pool stopped
  std::uint64_t failures = 0;   ///< builds that failed, helpers lost, and answers refused
  std::optional<std::int64_t> build_us_p50;  ///< over the latest builds, as the helper timed them
  std::string last_error;                    ///< of the latest failure; empty when there was none
};

/// A stock of fresh network namespaces, each with loopback up and nothing else, built ahead of
/// demand by a helper process and given to one sandbox at a time. One in which anything at all has
/// happened is never given to another.
///
/// Single-threaded: every call, and the destruction, on the thread that runs the event loop, which
/// is also the one that starts the helper and must live as long as the process (base/spawn.h).
///
/// May be destroyed at any time before its io_context: the helper is killed, waiting leases get an
/// error, and the coroutines inside hold what they use themselves. They end at the loop's next
/// turn, or with the io_context.
class NetnsPool {
 public:
  static constexpr std::size_t kMaxHigh = 4096;

  /// Starts the helper and returns once `low` namespaces are ready; goes on to `high` behind.
  /// kInvalid for options out of range; otherwise the first failure of the helper.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<NetnsPool>>> start(
      PoolOptions options);

  ~NetnsPool();
  NetnsPool(const NetnsPool&) = delete;
  NetnsPool& operator=(const NetnsPool&) = delete;

  /// A namespace in which nothing has happened yet: at once from the stock. When that is empty,
  /// waits in turn for a build (a miss): kRejected after build_timeout, kInternal when a build
  /// fails or the helper dies meanwhile, kDraining once the pool stops. The pool may be destroyed
  /// while this waits.
  [[nodiscard]] boost::asio::awaitable<Result<Netns>> lease();

  /// Takes a namespace back whose last process is dead: into the stock when it is provably as it
  /// was built, which most calls leave it, else destroys it.
  void give_back(Netns netns);

  /// Destroys a namespace whose last process may be alive still, or cannot be known to be dead.
  void retire(Netns netns);

  [[nodiscard]] PoolStats stats() const;

  /// Kills the helper, destroys the stock, and returns when nothing of the pool runs any more.
  /// Leases already handed out stay valid. Further calls return at once.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  class State;
  explicit NetnsPool(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  // shared with the coroutines inside
};

}  // namespace sock::netns
