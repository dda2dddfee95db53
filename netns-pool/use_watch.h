#pragma once

#include <cstdint>
#include <memory>

#include "base/error.h"
#include "base/fd.h"

namespace sock::netns {

/// Learns from the kernel whether any socket of the internet families was ever made in a network
/// namespace by the processes of a cgroup. A BPF program runs at each such creation, before the
/// socket can be used (BPF_CGROUP_INET_SOCK_CREATE), and marks the namespace it is made in. Nobody
/// is asked, nothing waits, and a socket that was closed again has left its mark all the same.
///
/// Thread safe. The program goes with the object, or with the process.
class UseWatch {
 public:
  /// Namespaces watched at a time.
  static constexpr std::uint32_t kMost = 8192;

  /// Watches the processes in `cgroup` (a cgroup v2 directory, borrowed) and below. Fails where the
  /// kernel has no BPF for cgroups, or we lack CAP_BPF and CAP_NET_ADMIN; 5.7 or newer.
  [[nodiscard]] static Result<std::shared_ptr<UseWatch>> start(int cgroup);

  /// Begins to watch a namespace, by its cookie (SO_NETNS_COOKIE), as untouched.
  [[nodiscard]] Result<> add(std::uint64_t cookie) const;
  void remove(std::uint64_t cookie) const;

  /// False when the mark is set, and also when the kernel cannot tell.
  [[nodiscard]] bool untouched(std::uint64_t cookie) const;

 private:
  UseWatch(Fd map, Fd link) : map_(std::move(map)), link_(std::move(link)) {}

  Fd map_;   // cookie → mark
  Fd link_;  // holds the program on the cgroup
};

/// A namespace being watched; it is not any more when this is destroyed. Move only.
class WatchedUse {
 public:
  WatchedUse() = default;
  WatchedUse(WatchedUse&& other) noexcept;
  WatchedUse& operator=(WatchedUse&& other) noexcept;
  ~WatchedUse();

  [[nodiscard]] static Result<WatchedUse> begin(std::shared_ptr<const UseWatch> watch,
                                                std::uint64_t cookie);

  /// False also when nothing is watched.
  [[nodiscard]] bool untouched() const { return watch_ && watch_->untouched(cookie_); }

 private:
  std::shared_ptr<const UseWatch> watch_;
  std::uint64_t cookie_ = 0;
};

}  // namespace sock::netns
