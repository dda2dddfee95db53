#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "netns-pool/namespace_id.h"
#include "netns-pool/rtnetlink.h"
#include "netns-pool/socket_census.h"
#include "netns-pool/uplink.h"
#include "netns-pool/use_watch.h"

namespace sock::netns {

/// The network namespaces in use, so that none is ever handed to two sandboxes. Thread safe.
class LiveNamespaces {
 public:
  /// False when it is in use already.
  [[nodiscard]] bool claim(std::uint64_t inode);
  void release(std::uint64_t inode);
  [[nodiscard]] bool contains(std::uint64_t inode) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_set<std::uint64_t> inodes_;
};

/// One network namespace. Move only. Closing the last descriptor of a namespace that no process
/// is in destroys it; the kernel does so asynchronously (namespaces(7)).
///
/// Keep it until the last process inside is dead: as long as it lives, its inode number cannot be
/// handed out again. May be destroyed on any thread.
class Netns {
 public:
  Netns() = default;
  ~Netns() = default;
  Netns(Netns&&) noexcept = default;
  Netns& operator=(Netns&& other) noexcept;  // destroys what was held as the destructor does

  /// Takes a descriptor that came from elsewhere, after proof that it is a network namespace
  /// owned by the user namespace `owner` and not in `live`, into which it is entered.
  /// kInvalid otherwise; the descriptor is closed.
  [[nodiscard]] static Result<Netns> adopt(Fd descriptor, const NamespaceId& owner,
                                           const std::shared_ptr<LiveNamespaces>& live);

  /// Makes as_built() able to tell: `census_socket` must be a SocketCensus's in this namespace.
  [[nodiscard]] Result<> watch(Fd census_socket, std::shared_ptr<const UseWatch> watch);

  /// Proof that nothing ever happened in it, to be asked when its last process is dead: no internet
  /// socket was made in it, not even one that was closed unused, and no AF_UNIX socket is left.
  /// Nothing else can change a network namespace from inside without CAP_NET_ADMIN or CAP_NET_RAW
  /// there; netlink and packet sockets are refused by the seccomp policy, and ioctls on AF_UNIX
  /// sockets only read. False where this cannot be proven. About 15 µs.
  [[nodiscard]] bool as_built();

  /// Makes route() available: `socket` must be an Rtnetlink's in this namespace; kInvalid
  /// otherwise.
  [[nodiscard]] Result<> take_route(Fd socket);

  /// To configure the namespace from outside; null when there was no take_route(), or it was given
  /// away. Borrowed.
  [[nodiscard]] Rtnetlink* route() { return route_ ? &*route_ : nullptr; }
  [[nodiscard]] std::optional<Rtnetlink> release_route() { return std::exchange(route_, {}); }

  /// Its place on the network, given back when the namespace is destroyed; empty when it has none.
  [[nodiscard]] Uplink& uplink() { return uplink_; }
  /// Its addresses on the network, once it is plugged.
  [[nodiscard]] std::optional<Endpoint> address() const { return uplink_.address(); }

  /// Our own sockets in the namespace, for an Inspector. Borrowed.
  [[nodiscard]] std::vector<int> sockets() const;

  /// For setns(2) and SCM_RIGHTS; -1 when empty. Borrowed.
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::uint64_t inode() const { return inode_; }
  /// The inode of the user namespace that owns it.
  [[nodiscard]] std::uint64_t owner() const { return owner_; }

  Clock::time_point built;  ///< when it became ready

 private:
  struct Release {
    std::shared_ptr<LiveNamespaces> live;
    void operator()(const std::uint64_t* inode) const;
  };

  std::unique_ptr<const std::uint64_t, Release> claim_;  // released after fd_ is closed
  Uplink uplink_;                                        // likewise
  Fd fd_;
  SocketCensus census_;
  std::optional<Rtnetlink> route_;
  WatchedUse use_;
  std::uint64_t inode_ = 0;
  std::uint64_t owner_ = 0;
};

}  // namespace sock::netns
