#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netns-pool/egress.h"
#include "netns-pool/rtnetlink.h"
#include "netns-pool/ruleset.h"

namespace sock::netns {

/// One namespace's port while it is made, used and taken back. Shared between the namespace's
/// Uplink and the jobs about it, so that each may outlive the other. Touched by the worker alone,
/// but for what is said.
struct UplinkPort {
  Fd netns;                         ///< until plugged, set before the first job
  std::optional<Rtnetlink> inside;  ///< likewise
  Tenant tenant;  ///< from then on; `tenant.end` never changes, and all may read it
  std::atomic<bool> plugged = false;
  bool released = false;  ///< the namespace is gone
};

/// Something to be done to one port, and who is told.
struct UplinkJob {
  enum class Kind { kPlug, kAdmit, kDismiss, kRelease };

  Kind kind = Kind::kRelease;
  std::shared_ptr<UplinkPort> port;
  Egress egress;  ///< kAdmit
  /// Called on the worker or, when the queue is closed, by whoever pushes or closes. Nobody waits
  /// for a kRelease.
  std::move_only_function<void(Result<>)> done;
};

/// What the worker of Uplinks has to do: links to make, one at a time, and changes of what may
/// pass, for which calls wait, many at once. Thread safe.
class UplinkQueue {
 public:
  /// `wake` makes the worker look; it is called for the first job after the worker found none,
  /// never after close(), and must not block.
  explicit UplinkQueue(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// Answers kDraining once the queue is closed.
  void push(UplinkJob job);

  struct Work {
    std::vector<UplinkJob> changes;  ///< at most `most`, of a port each, in the order they came
    std::optional<UplinkJob> plug;
    [[nodiscard]] bool none() const { return changes.empty() && !plug; }
  };
  /// For the worker: the next things to do, the changes first. After none, it is woken again.
  [[nodiscard]] Work take(std::size_t most);

  /// Answers kDraining to everything that was not taken, and from now on.
  void close();

 private:
  std::mutex mutex_;
  std::function<void()> wake_;  // empty when closed
  bool awake_ = false;
  std::deque<UplinkJob> changes_;
  std::deque<UplinkJob> plugs_;
};

}  // namespace sock::netns
