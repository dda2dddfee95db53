#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "manager/background.h"
#include "manager/calls/zygote_node.h"

namespace sock::manager {

struct ZygoteRotationOptions {
  std::uint32_t clones = 100'000;  ///< given to calls since the last; 0 = never
  Millis age{3'600'000};           ///< since the last; 0 = never
};

/// Replaces the whole tree now and then by one of a new generation. All clones of a zygote share
/// its hash seed and memory layout, so what one call finds out about them serves an attacker in the
/// next: rotation bounds for how long.
///
/// Node by node, parents first, one at a time. Each stays in service until its successor can take
/// over; one that cannot be replaced stays, and is tried again with growing pauses. On the event
/// loop; not thread safe.
class ZygoteRotation {
 public:
  /// The nodes there are, parents before children.
  using Nodes = std::function<std::vector<std::shared_ptr<ZygoteNode>>()>;
  /// Replaces a node's zygote: the root's by one of a new generation, another's by one of its
  /// parent's.
  using Renew = std::function<boost::asio::awaitable<Result<>>(std::shared_ptr<ZygoteNode>)>;

  ZygoteRotation(Background& background, ZygoteRotationOptions options, Nodes nodes, Renew renew);

  /// Starts a rotation if one is due and none goes on. To be called about once a second.
  void tick(Clock::time_point now);

  /// A call was given a clone, of whichever node or function.
  void note_clone() { ++clones_; }

  void stop() { stopping_ = true; }

  /// Complete ones.
  [[nodiscard]] std::uint64_t completed() const { return completed_; }

 private:
  [[nodiscard]] bool due(Clock::time_point now) const;
  [[nodiscard]] boost::asio::awaitable<void> pass();
  [[nodiscard]] bool all_renewed() const;
  void failed(const ZygoteNode& node, const Error& error);

  Background& background_;
  ZygoteRotationOptions options_;
  Nodes nodes_;
  Renew renew_;
  Clock::time_point last_ = Clock::now();
  std::uint64_t clones_ = 0;           ///< since then
  std::optional<std::uint64_t> goal_;  ///< the new generation, once it has a root
  unsigned failures_ = 0;              ///< in a row
  Clock::time_point retry_at_{};
  std::uint64_t completed_ = 0;
  bool running_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
