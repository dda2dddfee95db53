#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/fd.h"
#include "netns-pool/wire.h"

namespace sock::netns {

struct BuildFailure {
  BuildStep step = BuildStep::kNone;
  int error = 0;       ///< errno, 0 when no system call of ours failed
  std::string detail;  ///< the link or address in the way, or libnl's words
};

struct BuiltNetns {
  Fd descriptor;
  Fd census;  ///< a SocketCensus's socket; empty where the kernel has none
  Fd route;   ///< an Rtnetlink's socket, with kRoutable
  std::uint64_t inode = 0;
  std::uint64_t build_us = 0;
};

/// Builds network namespaces, owned by the user namespace the process is in, by entering each one
/// in turn (unshare(2)). Between builds the process sits in a base namespace of its own, so that
/// it keeps no built one alive and never touches the network it came from.
///
/// Only for single-purpose, single-threaded programs: it moves the calling thread.
class NetnsBuilder {
 public:
  /// Leaves the current network namespace for a new, empty base.
  [[nodiscard]] static std::expected<NetnsBuilder, BuildFailure> create();

  /// A new namespace with loopback up (127.0.0.1, ::1) and no other link, checked through
  /// rtnetlink. After a failure at kReturnToBase the builder must not be used again.
  [[nodiscard]] std::expected<BuiltNetns, BuildFailure> build(Furnish furnish = Furnish::kLoopback);

  /// Checks the calling thread's network namespace: loopback is up and has 127.0.0.1; there is no
  /// other link and no other address but ::1.
  [[nodiscard]] static std::expected<void, BuildFailure> verify();

 private:
  explicit NetnsBuilder(Fd base) : base_(std::move(base)) {}

  Fd base_;
};

}  // namespace sock::netns
