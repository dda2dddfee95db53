#include "manager/calls/zygote_tree.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "manager/calls/back_off.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// How long a new generation waits for an idle CPU before it starts a zygote anyway.
constexpr Millis kPatience{5'000};
constexpr Millis kLook{20};

/// How long a successor may take to park its first clones.
constexpr Millis kFillTimeout{10'000};

constexpr const char* kRootId = "root";

std::string describe_seal(const ZygoteNode& node) {
  const zygote::Sealing& sealing = node.zygote()->sealing();
  if (!sealing.sealed) return "not sealed: " + node.seal_error;
  return fmt::format("sealed {} MiB in {} ms, {} mappings instead of {}", sealing.bytes >> 20,
                     sealing.took_us / 1000, sealing.mappings_after, sealing.mappings_before);
}

}  // namespace

ZygoteTree::ZygoteTree(asio::any_io_executor executor, Background& background,
                       ZygoteTreeOptions options, const pkgcache::Library& library,
                       SlotStock& slots, Worker& worker, Ledger& ledger)
    : executor_(std::move(executor)),
      background_(background),
      nursery_(executor_, std::move(options.nursery), library, slots, worker, ledger),
      rotation_(
          background_, options.rotation, [this] { return in_plan_order(); },
          [this](std::shared_ptr<ZygoteNode> node) { return renew(std::move(node)); }),
      worth_(std::move(options.worth)) {
  plan_.nodes.push_back(pkgcache::ZygoteSpec{kRootId, "", {}});
}

asio::awaitable<Result<>> ZygoteTree::start() {
  auto root = std::make_shared<ZygoteNode>();
  root->spec = plan_.nodes.front();
  nodes_[root->spec.id] = root;
  co_await start_node(root);
  if (!root->ready()) co_return fail(Code::kInternal, "root zygote", root->error);
  co_return Result<>{};
}

void ZygoteTree::adopt(pkgcache::ZygotePlan plan, FewestParked fewest) {
  plan_ = std::move(plan);
  fewest_ = std::move(fewest);
  for (const auto& spec : plan_.nodes) {
    const auto found = nodes_.find(spec.id);
    if (found != nodes_.end()) found->second->spec.parent = spec.parent;
  }
  for (const auto& [id, node] : nodes_) {
    if (node->stocks) node->stocks->set_min(least_parked(id));
  }
  kick();
}

PerNetwork<std::uint32_t> ZygoteTree::least_parked(const std::string& id) const {
  PerNetwork<std::uint32_t> least(nursery_.least_parked(), 0);
  for (const Network network : kNetworks) {
    const auto asked = fewest_.find({id, network});
    if (asked != fewest_.end()) least[network] = asked->second;
  }
  return least;
}

void ZygoteTree::tick() {
  if (stopping_) return;
  // Either may find out that a zygote is broken, and change what is ready.
  const auto ready = ready_.nodes();
  for (const auto& node : ready) {
    if (const auto stocks = node->stocks) stocks->tick();
    if (const auto zygotes = node->zygotes) zygotes->tick();
  }
  const auto now = Clock::now();
  rotation_.tick(now);
  // Not without a reason: a pass that is under way would begin anew.
  const bool due = std::ranges::any_of(nodes_, [now](const auto& entry) {
    return entry.second->state == ZygoteNode::State::kFailed && now >= entry.second->retry_at;
  });
  if (due) kick();
}

void ZygoteTree::kick() {
  dirty_ = true;
  if (reconciling_ || stopping_) return;
  reconciling_ = true;
  background_.run(reconcile());
}

asio::awaitable<void> ZygoteTree::reconcile() {
  while (dirty_ && !stopping_) {
    dirty_ = false;
    const pkgcache::ZygotePlan plan = plan_;
    co_await create_missing(plan);
    if (!dirty_ && !stopping_) retire_others(plan);
  }
  reconciling_ = false;
}

asio::awaitable<void> ZygoteTree::create_missing(const pkgcache::ZygotePlan& plan) {
  std::vector<std::shared_ptr<ZygoteStocks>> filling;
  for (const auto& spec : plan.nodes) {
    if (dirty_ || stopping_) co_return;
    auto& slot = nodes_[spec.id];
    if (!slot) {
      slot = std::make_shared<ZygoteNode>();
    } else if (slot->state != ZygoteNode::State::kFailed || Clock::now() < slot->retry_at) {
      continue;
    }
    const auto node = slot;
    node->spec = spec;
    co_await start_node(node);
    if (node->stocks) filling.push_back(node->stocks);
  }
  const auto deadline = Clock::now() + kFillTimeout;
  for (const auto& stocks : filling) {
    if (dirty_ || stopping_) co_return;
    // Short of memory they may not fill: those that make room for them go all the same.
    const bool filled = co_await stocks->wait_filled(deadline);
    (void)filled;
  }
}

void ZygoteTree::retire_others(const pkgcache::ZygotePlan& plan) {
  std::vector<std::shared_ptr<ZygoteNode>> dropped;
  for (const auto& [id, node] : nodes_) {
    const auto same = [&id](const pkgcache::ZygoteSpec& spec) { return spec.id == id; };
    if (std::ranges::none_of(plan.nodes, same)) dropped.push_back(node);
  }
  for (const auto& node : dropped) {
    nodes_.erase(node->spec.id);
    spdlog::info("zygote {} is retired", node->name());
    take_out_of_service(*node);
  }
}

std::vector<std::shared_ptr<ZygoteNode>> ZygoteTree::in_plan_order() const {
  std::vector<std::shared_ptr<ZygoteNode>> out;
  for (const auto& spec : plan_.nodes) {
    const auto found = nodes_.find(spec.id);
    if (found != nodes_.end() && found->second) out.push_back(found->second);
  }
  return out;
}

std::shared_ptr<ZygoteNode> ZygoteTree::ready_ancestor(const ZygoteNode& node) const {
  std::string parent = node.spec.parent;
  while (!parent.empty()) {
    const auto found = nodes_.find(parent);
    if (found == nodes_.end()) break;
    if (found->second->ready()) return found->second;
    parent = found->second->spec.parent;
  }
  return nullptr;
}

ZygoteNursery::OnDead ZygoteTree::on_dead(const std::shared_ptr<ZygoteNode>& node) {
  return [this, weak = std::weak_ptr(node)](const ZygoteGroup& group, const Error& error) {
    const auto alive = weak.lock();
    // One that the node does not have, any more or yet, is not the node's failure.
    if (alive && alive->zygotes.get() == &group) mark_failed(*alive, error);
  };
}

asio::awaitable<void> ZygoteTree::start_node(std::shared_ptr<ZygoteNode> node) {
  node->state = ZygoteNode::State::kStarting;
  auto young = co_await nursery_.start(node->spec, ready_ancestor(*node), on_dead(node));
  // Stopped meanwhile: what has started dies with its group.
  if (stopping_) {
    if (young) young->zygotes->close();
    co_return;
  }
  if (!young) {
    mark_failed(*node, young.error());
    co_return;
  }
  put_in_service(node, std::move(*young));
  node->error.clear();
  node->failures = 0;
  node->stocks->set_min(least_parked(node->spec.id));
}

asio::awaitable<Result<>> ZygoteTree::renew(std::shared_ptr<ZygoteNode> node) {
  asio::steady_timer look(executor_);
  const auto patience = Clock::now() + kPatience;
  while (!stopping_ && !has_idle_cpu() && Clock::now() < patience) {
    look.expires_after(kLook);
    auto ignored = co_await look.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  if (stopping_) co_return fail(Code::kDraining, "zygote", "sockd is stopping");
  auto young = co_await nursery_.start(node->spec, ready_ancestor(*node), on_dead(node));
  if (!young) co_return std::unexpected(young.error());
  const auto stocks = young->stocks;
  if (!stopping_) {
    filling_ = stocks;
    stocks->set_min(least_parked(node->spec.id));
    // Short of memory they may not fill; then it lives on what its predecessor has parked.
    const bool filled = co_await stocks->wait_filled(Clock::now() + kFillTimeout);
    (void)filled;
    filling_.reset();
  }
  const auto found = nodes_.find(node->spec.id);
  const bool wanted = !stopping_ && node->ready() && found != nodes_.end() && found->second == node;
  const bool works = young->zygotes->zygote() != nullptr;
  if (!wanted || !works) {
    young->zygotes->close();
    stocks->stop(background_);
    if (!wanted) co_return fail(Code::kDraining, "zygote", "the node is gone");
    co_return fail(Code::kInternal, "zygote", "the successor cannot clone");
  }
  stocks->inherit(*node->stocks);
  take_out_of_service(*node);
  put_in_service(node, std::move(*young));
  co_return Result<>{};
}

void ZygoteTree::put_in_service(const std::shared_ptr<ZygoteNode>& node, YoungZygote young) {
  node->zygotes = std::move(young.zygotes);
  node->stocks = std::move(young.stocks);
  node->generation = young.generation;
  node->seal_error = std::move(young.seal_error);
  node->state = ZygoteNode::State::kReady;
  node->ready_at = Clock::now();
  rebuild_index();
  spdlog::info("zygote {} is ready: generation {}, imports took {} ms, {}", node->name(),
               node->generation, node->zygote()->import_us() / 1000, describe_seal(*node));
  for (const auto& observer : observers_) {
    if (observer.on_ready) observer.on_ready(*node);
  }
}

void ZygoteTree::take_out_of_service(ZygoteNode& node) {
  if (node.ready()) {
    for (const auto& observer : observers_) {
      if (observer.on_retired) observer.on_retired(node);
    }
  }
  node.state = ZygoteNode::State::kFailed;
  rebuild_index();
  if (node.stocks) node.stocks->stop(background_);
  node.stocks.reset();
  // Clones in the making hold their zygote too; the process dies with the last of them.
  if (node.zygotes) node.zygotes->close();
  node.zygotes.reset();
}

void ZygoteTree::mark_failed(ZygoteNode& node, const Error& error) {
  if (stopping_ || node.state == ZygoteNode::State::kFailed) return;
  node.error = error.describe();
  node.retry_at = Clock::now() + zygote_back_off(error, node.failures);
  ++node.failures;
  spdlog::warn("zygote {} is out of service: {}", node.name(), node.error);
  take_out_of_service(node);
}

void ZygoteTree::rebuild_index() {
  std::vector<std::shared_ptr<ZygoteNode>> ready;
  for (const auto& [id, node] : nodes_) {
    if (node->ready()) ready.push_back(node);
  }
  ready_ = ZygoteIndex(std::move(ready), worth_);
}

Result<ZygoteChoice> ZygoteTree::choose(const std::vector<pkgcache::Package>& packages) const {
  auto choice = ready_.choose(packages);
  if (!choice) return fail(Code::kRejected, "zygote", "no zygote is ready; retry in a moment");
  return std::move(*choice);
}

std::size_t ZygoteTree::parked() const {
  std::size_t sum = 0;
  for (const auto& node : ready_.nodes()) sum += node->stocks->parked();
  return sum;
}

void ZygoteTree::stop() {
  stopping_ = true;
  rotation_.stop();
  for (const auto& [id, node] : nodes_) {
    if (node->stocks) node->stocks->stop(background_);
    node->stocks.reset();
    if (node->zygotes) node->zygotes->close();
    node->zygotes.reset();
  }
  nodes_.clear();
  rebuild_index();
  // A renewal waits for them to fill.
  if (filling_) filling_->stop(background_);
}

}  // namespace sock::manager
