#include "manager/calls/zygote_rotation.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>
#include <string>

#include "manager/calls/back_off.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr Millis kBackOff{10'000};
constexpr unsigned kMostDoublings = 8;

}  // namespace

ZygoteRotation::ZygoteRotation(Background& background, ZygoteRotationOptions options, Nodes nodes,
                               Renew renew)
    : background_(background),
      options_(options),
      nodes_(std::move(nodes)),
      renew_(std::move(renew)) {}

bool ZygoteRotation::due(Clock::time_point now) const {
  if (now < retry_at_) return false;
  if (goal_) return true;
  const bool old = options_.age.count() > 0 && now - last_ >= options_.age;
  return old || (options_.clones > 0 && clones_ >= options_.clones);
}

void ZygoteRotation::tick(Clock::time_point now) {
  if (running_ || stopping_ || !due(now)) return;
  const auto nodes = nodes_();
  // Without its root there is nothing to begin with; the tree is restarting it.
  if (nodes.empty() || !nodes.front()->spec.parent.empty() || !nodes.front()->ready()) return;
  running_ = true;
  background_.run(pass());
}

asio::awaitable<void> ZygoteRotation::pass() {
  std::set<std::string> behind;
  for (const auto& node : nodes_()) {
    if (!node->ready() || (goal_ && node->generation >= *goal_)) continue;
    // A child of an old parent would be of the old generation again.
    if (behind.contains(node->spec.parent)) {
      behind.insert(node->spec.id);
      continue;
    }
    auto renewed = co_await renew_(node);
    if (stopping_) co_return;
    if (!renewed) {
      failed(*node, renewed.error());
      if (!goal_) break;
      behind.insert(node->spec.id);
    } else if (!goal_) {
      goal_ = node->generation;
    }
  }
  running_ = false;
  if (!goal_ || !behind.empty() || !all_renewed()) co_return;
  spdlog::info("all zygotes are of generation {} now", *goal_);
  goal_.reset();
  failures_ = 0;
  ++completed_;
  last_ = Clock::now();
  clones_ = 0;
}

bool ZygoteRotation::all_renewed() const {
  // One that is starting may come from an old parent; a failed one will come from a new one.
  return std::ranges::none_of(nodes_(), [this](const auto& node) {
    return node->state == ZygoteNode::State::kStarting ||
           (node->ready() && node->generation < *goal_);
  });
}

void ZygoteRotation::failed(const ZygoteNode& node, const Error& error) {
  const Millis pause = back_off(kBackOff, failures_, kMostDoublings);
  ++failures_;
  retry_at_ = Clock::now() + pause;
  spdlog::warn("zygote {} stays of generation {}, next try in {} s: {}", node.name(),
               node.generation, pause.count() / 1000, error.describe());
}

}  // namespace sock::manager
