#include "netns-pool/uplink_queue.h"

#include <unordered_set>
#include <utility>

namespace sock::netns {
namespace {

void refuse(UplinkJob& job) {
  job.done(fail(Code::kDraining, "change the network", "the network is being removed"));
}

}  // namespace

void UplinkQueue::push(UplinkJob job) {
  {
    const std::lock_guard lock(mutex_);
    if (wake_) {
      auto& queue = job.kind == UplinkJob::Kind::kPlug ? plugs_ : changes_;
      queue.push_back(std::move(job));
      // Under the lock: whoever has closed the queue may destroy what it wakes.
      if (!std::exchange(awake_, true)) wake_();
      return;
    }
  }
  refuse(job);
}

UplinkQueue::Work UplinkQueue::take(std::size_t most) {
  const std::lock_guard lock(mutex_);
  Work work;
  std::unordered_set<const UplinkPort*> ports;
  while (!changes_.empty() && work.changes.size() < most &&
         ports.insert(changes_.front().port.get()).second) {
    work.changes.push_back(std::move(changes_.front()));
    changes_.pop_front();
  }
  if (!plugs_.empty()) {
    work.plug = std::move(plugs_.front());
    plugs_.pop_front();
  }
  awake_ = !work.none();
  return work;
}

void UplinkQueue::close() {
  std::deque<UplinkJob> changes;
  std::deque<UplinkJob> plugs;
  {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    changes.swap(changes_);
    plugs.swap(plugs_);
  }
  for (auto& job : changes) refuse(job);
  for (auto& job : plugs) refuse(job);
}

}  // namespace sock::netns
