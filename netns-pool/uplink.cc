#include "netns-pool/uplink.h"

#include <utility>

#include "netns-pool/uplink_queue.h"

namespace sock::netns {

Uplink::Uplink(std::shared_ptr<UplinkQueue> queue, std::shared_ptr<UplinkPort> port)
    : queue_(std::move(queue)), port_(std::move(port)) {}

Uplink& Uplink::operator=(Uplink&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  queue_ = std::move(other.queue_);
  port_ = std::move(other.port_);
  return *this;
}

Uplink::~Uplink() { give_back(); }

void Uplink::give_back() {
  if (!port_) return;
  queue_->push({UplinkJob::Kind::kRelease, std::move(port_), {}, [](Result<>) {}});
}

std::optional<Endpoint> Uplink::address() const {
  if (!port_ || !port_->plugged.load(std::memory_order_acquire)) return std::nullopt;
  return port_->tenant.end;
}

}  // namespace sock::netns
