#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/error.h"
#include "netns-pool/linker.h"
#include "netns-pool/use_watch.h"
#include "netns-pool/wire.h"

namespace sock::netns {

struct PoolOptions {
  static constexpr std::size_t kMaxHigh = 4096;
  static constexpr std::size_t kMaxBuilders = 8;

  std::size_t low = 8;         ///< kept ready without demand
  std::size_t high = 32;       ///< and under the heaviest; at most kMaxHigh
  std::size_t builders = 1;    ///< helpers that build side by side, 1 to kMaxBuilders
  Millis lease_timeout{2000};  ///< longest wait of a lease
  /// Longest wait for one answer of a helper. The kernel may keep it for seconds when many
  /// namespaces with links die on a busy machine: their links are taken away under one lock.
  Millis answer_timeout{10'000};
  std::string helper;  ///< path of sock-netns
  /// pidfd of a process in the user namespace that shall own the namespaces; borrowed for the
  /// pool's life, because a helper that died is started anew into it. -1: our own.
  int user_namespace = -1;
  /// Most that this user namespace may own, of all pools together, those that the kernel is still
  /// taking apart included; 0: as many as its user.max_net_namespaces says already. Only with
  /// `user_namespace`.
  std::uint32_t most = 0;
  /// Puts the helper, by pid, into its cgroup, each time one is started; may be empty.
  std::function<Result<>(pid_t)> place_helper;
  /// Over all processes that will ever be in a leased namespace. Null: each is used once only.
  std::shared_ptr<const UseWatch> watch;
  /// Whether one that was used is kept for its owner, if an Inventory finds it clean.
  bool keep_for_owner = false;
  /// kRoutable for those that `linker` shall give a link to: one more descriptor each.
  Furnish furnish = Furnish::kLoopback;
  std::shared_ptr<Linker> linker;  ///< may be null
};

/// kInvalid, with what is wrong, for options that make no sense.
[[nodiscard]] Result<> check(const PoolOptions& options);

}  // namespace sock::netns
