#pragma once

#include <memory>
#include <optional>

#include "netns-pool/address_plan.h"

namespace sock::netns {

struct UplinkPort;
class UplinkQueue;

/// A network namespace's place on the network (uplinks.h), given back when this is destroyed: on
/// any thread, behind the scenes, without waiting. Move only.
class Uplink {
 public:
  Uplink() = default;
  Uplink(std::shared_ptr<UplinkQueue> queue, std::shared_ptr<UplinkPort> port);
  Uplink(Uplink&&) noexcept = default;
  Uplink& operator=(Uplink&& other) noexcept;
  ~Uplink();

  /// Once there is a link. May be asked on another thread than the one that makes it.
  [[nodiscard]] std::optional<Endpoint> address() const;

  /// Null when empty.
  [[nodiscard]] const std::shared_ptr<UplinkPort>& port() const { return port_; }
  [[nodiscard]] const std::shared_ptr<UplinkQueue>& queue() const { return queue_; }

 private:
  void give_back();

  std::shared_ptr<UplinkQueue> queue_;
  std::shared_ptr<UplinkPort> port_;
};

}  // namespace sock::netns
