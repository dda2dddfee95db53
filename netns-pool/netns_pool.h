#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "netns-pool/netns.h"
#include "netns-pool/pool_options.h"

namespace sock::netns {

struct PoolStats {
  std::size_t ready = 0;
  std::size_t kept = 0;    ///< for their owners
  std::size_t leased = 0;  ///< handed out and not given back yet
  std::size_t target = 0;  ///< that should be ready now, between low and high
  std::size_t low = 0;
  std::size_t high = 0;
  std::size_t most = 0;
  std::uint64_t leases = 0;     ///< handed out
  std::uint64_t builds = 0;     ///< built and accepted
  std::uint64_t misses = 0;     ///< leases that had to wait for a build, served or not
  std::uint64_t returned = 0;   ///< given back as built, and in stock again or kept for its owner
  std::uint64_t burned = 0;     ///< given back otherwise, and destroyed
  std::uint64_t destroyed = 0;  ///< burned, retired, superfluous, or in stock when the pool stopped
  std::uint64_t failures = 0;   ///< builds that failed, helpers lost, and answers refused
  std::uint64_t full = 0;       ///< builds put off because `most` exist
  std::map<std::string, std::uint64_t> burns;  ///< why `burned`: "used", "time_wait", "socket", …
  std::optional<std::int64_t> build_us_p50;    ///< over the latest builds, as the helper timed them
  std::string last_error;                      ///< of the latest failure; empty without one
};

/// One living namespace of a pool.
struct NetnsView {
  enum class State { kBuilding, kReady, kLeased, kKept };
  std::uint64_t inode = 0;
  State state = State::kBuilding;
  Clock::time_point built;
  std::uint64_t leases = 0;
  std::string owner;    ///< the latest that is known
  std::string address;  ///< of its link; empty without one
};

/// A stock of fresh network namespaces, built ahead of demand by helper processes and given to one
/// sandbox at a time: with loopback up, and the link that a Linker gives it.
///
/// How many are ready follows demand (base/stock_target.h). When none is, a lease waits for one to
/// be built; when none may be built, because `most` exist or are still being taken apart, for that
/// to end, which is a clear error when it does not in time.
///
/// One in which anything at all has happened is never given to another owner, and to the same only
/// if everything that a process could have changed is proven to be as it was built.
///
/// Single-threaded: every call, and the destruction, on the thread that runs the event loop, which
/// is also the one that starts the helpers and must live as long as the process (base/spawn.h).
///
/// May be destroyed at any time before its io_context: the helpers are killed, waiting leases get
/// an error, and the coroutines inside hold what they use themselves. They end at the loop's next
/// turn, or with the io_context.
class NetnsPool {
 public:
  static constexpr std::size_t kMaxHigh = PoolOptions::kMaxHigh;
  static constexpr std::size_t kMaxBuilders = PoolOptions::kMaxBuilders;

  /// Starts the helpers and returns once `low` namespaces are ready. kInvalid for options out of
  /// range; otherwise the first failure of a helper.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<NetnsPool>>> start(
      PoolOptions options);

  ~NetnsPool();
  NetnsPool(const NetnsPool&) = delete;
  NetnsPool& operator=(const NetnsPool&) = delete;

  /// The namespace kept for this owner, or one in which nothing has happened yet: at once from the
  /// stock. When that is empty, waits in turn for a build (a miss): kRejected after lease_timeout,
  /// kInternal when a build fails or the helpers die meanwhile, kDraining once the pool stops. The
  /// pool may be destroyed while this waits. `owner` is who will be in it; empty: not known yet.
  [[nodiscard]] boost::asio::awaitable<Result<Netns>> lease(std::string owner = {});

  /// Whether one is kept for this owner.
  [[nodiscard]] bool keeps_for(std::string_view owner) const;

  /// For list(): who a leased one turned out to be for.
  void note_owner(const Netns& netns, std::string_view owner);

  /// Takes a namespace back whose last process is dead: into the stock when nothing has happened in
  /// it, which is so after most calls; or for `owner`, who was in it, when it is proven clean; else
  /// destroys it.
  void give_back(Netns netns, std::string owner = {});

  /// Destroys a namespace whose last process may be alive still, or cannot be known to be dead.
  void retire(Netns netns);

  /// Destroys what is ready beyond demand and what no owner came for. To be called once a second.
  void tick();

  /// How many are ready; stats() says everything else, and costs more.
  [[nodiscard]] std::size_t ready() const;
  [[nodiscard]] PoolStats stats() const;
  /// All that live, by inode.
  [[nodiscard]] std::vector<NetnsView> list() const;

  /// Kills the helpers, destroys the stock, and returns when nothing of the pool runs any more.
  /// Leases already handed out stay valid. Further calls return at once.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  class State;
  explicit NetnsPool(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;  // shared with the coroutines inside
};

}  // namespace sock::netns
