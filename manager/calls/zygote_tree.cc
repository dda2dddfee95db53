#include "manager/calls/zygote_tree.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/await_exit.h"
#include "manager/calls/rehearsal.h"
#include "pkgcache/match.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// A package that cannot be a zygote will most likely not be one in a minute either.
constexpr Millis kPackageBackOff{60'000};
constexpr Millis kBackOff{500};
constexpr unsigned kMostDoublings = 6;

constexpr const char* kRootId = "root";

asio::awaitable<void> bury_clone(std::unique_ptr<Clone> clone, SlotStock& slots) {
  co_await slots.bury(std::move(clone->slot), std::move(clone->process));
}

std::string display_name(const ZygoteNode& node) {
  return node.spec.id.empty() ? kRootId : node.spec.id;
}

}  // namespace

std::string ZygoteNode::packages() const {
  std::string out;
  for (const auto& package : spec.packages) {
    if (!out.empty()) out += ',';
    out += package.name;
  }
  return out;
}

ZygoteTree::ZygoteTree(asio::any_io_executor executor, ZygoteTreeOptions options,
                       const pkgcache::Catalogue& catalogue, SlotStock& slots, Worker& worker,
                       Ledger& ledger)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      catalogue_(catalogue),
      slots_(slots),
      worker_(worker),
      ledger_(ledger) {
  plan_.nodes.push_back(pkgcache::ZygoteSpec{kRootId, "", {}});
}

asio::awaitable<Result<>> ZygoteTree::start() {
  auto root = std::make_shared<ZygoteNode>();
  root->spec = plan_.nodes.front();
  nodes_[root->spec.id] = root;
  co_await start_node(root);
  if (root->state != ZygoteNode::State::kReady) {
    co_return fail(Code::kInternal, "root zygote", root->error);
  }
  co_return Result<>{};
}

void ZygoteTree::adopt(pkgcache::ZygotePlan plan, std::map<std::string, std::uint32_t> keep_ready) {
  plan_ = std::move(plan);
  keep_ready_ = std::move(keep_ready);
  for (const auto& [id, node] : nodes_) {
    if (!node->stock) continue;
    const auto wanted = keep_ready_.find(id);
    const std::uint32_t min = wanted == keep_ready_.end() ? 0 : wanted->second;
    node->stock->set_min(std::max(min, options_.stock.min));
  }
  kick();
}

void ZygoteTree::kick() {
  dirty_ = true;
  if (reconciling_ || stopping_) return;
  reconciling_ = true;
  asio::co_spawn(executor_, reconcile(), asio::detached);
}

asio::awaitable<void> ZygoteTree::reconcile() {
  while (dirty_ && !stopping_) {
    dirty_ = false;
    const pkgcache::ZygotePlan plan = plan_;
    std::vector<std::shared_ptr<ZygoteNode>> dropped;
    for (const auto& [id, node] : nodes_) {
      const auto same = [&id](const pkgcache::ZygoteSpec& spec) { return spec.id == id; };
      if (std::ranges::none_of(plan.nodes, same)) dropped.push_back(node);
    }
    for (auto& node : dropped) {
      nodes_.erase(node->spec.id);
      co_await retire(node);
    }
    for (const auto& spec : plan.nodes) {
      if (dirty_ || stopping_) break;
      auto& node = nodes_[spec.id];
      if (!node) {
        node = std::make_shared<ZygoteNode>();
      } else if (node->state != ZygoteNode::State::kFailed || Clock::now() < node->retry_at) {
        continue;
      }
      node->spec = spec;
      co_await start_node(node);
    }
  }
  reconciling_ = false;
}

std::shared_ptr<ZygoteNode> ZygoteTree::ready_ancestor(const ZygoteNode& node) const {
  std::string parent = node.spec.parent;
  while (!parent.empty()) {
    const auto found = nodes_.find(parent);
    if (found == nodes_.end()) break;
    if (found->second->state == ZygoteNode::State::kReady) return found->second;
    parent = found->second->spec.parent;
  }
  return nullptr;
}

asio::awaitable<void> ZygoteTree::start_node(std::shared_ptr<ZygoteNode> node) {
  node->state = ZygoteNode::State::kStarting;
  const auto parent = ready_ancestor(*node);
  const std::vector<std::string> modules = catalogue_.modules_of(node->spec.packages);
  Result<std::unique_ptr<zygote::Zygote>> started = fail(Code::kInternal, "zygote", "not started");
  if (parent) {
    const auto from = parent->zygote;
    started = co_await from->fork_child(modules, options_.import_timeout);
  } else {
    zygote::ZygoteOptions options = options_.root;
    options.config.modules = modules;
    options.import_timeout = options_.import_timeout;
    started = co_await zygote::Zygote::start(std::move(options));
  }
  std::shared_ptr<zygote::Zygote> ready;
  std::shared_ptr<const Fd> touches;
  if (started) {
    ready = std::move(*started);
    auto rehearsed = co_await rehearse(ready, slots_, worker_);
    if (!rehearsed) started = std::unexpected(rehearsed.error());
    if (rehearsed) touches = std::move(*rehearsed);
  }
  // Stopped meanwhile: whatever started dies with `ready`.
  if (stopping_) co_return;
  if (!started) {
    mark_failed(*node, started.error());
    co_return;
  }
  auto ticket = ledger_.record(LedgerKind::kZygote, display_name(*node), ready->process().pid());
  if (ticket) node->ticket = std::make_unique<LedgerTicket>(std::move(*ticket));
  node->zygote = std::move(ready);
  node->touches = std::move(touches);
  const std::weak_ptr<ZygoteNode> weak = node;
  auto on_failure = [this, weak](const Error& error) {
    if (const auto alive = weak.lock()) mark_failed(*alive, error);
  };
  const CloneRecipe recipe{.zygote = node->zygote, .touches = node->touches};
  auto make = [this, recipe] { return make_clone(recipe, slots_); };
  auto bury = [this](std::unique_ptr<Clone> clone) { return bury_clone(std::move(clone), slots_); };
  node->stock = std::make_shared<CloneStock>(executor_, options_.stock, make, bury, on_failure);
  node->state = ZygoteNode::State::kReady;
  node->error.clear();
  node->failures = 0;
  node->ready_at = Clock::now();
  rebuild_index();
  asio::co_spawn(executor_, watch(node, node->zygote), asio::detached);
  const auto wanted = keep_ready_.find(node->spec.id);
  const std::uint32_t min = wanted == keep_ready_.end() ? 0 : wanted->second;
  node->stock->set_min(std::max(min, options_.stock.min));
  spdlog::info("zygote {} is ready: imports took {} ms", display_name(*node),
               node->zygote->import_us() / 1000);
}

asio::awaitable<void> ZygoteTree::watch(std::shared_ptr<ZygoteNode> node,
                                        std::shared_ptr<zygote::Zygote> zygote) {
  auto ended = co_await await_exit(zygote->process().pidfd(), Clock::time_point::max());
  const bool current = node->zygote == zygote && node->state == ZygoteNode::State::kReady;
  if (!ended || !current || stopping_) co_return;
  mark_failed(*node, Error{Code::kInternal, "zygote", 0, "it died"});
}

void ZygoteTree::mark_failed(ZygoteNode& node, const Error& error) {
  if (stopping_ || node.state == ZygoteNode::State::kFailed) return;
  node.state = ZygoteNode::State::kFailed;
  node.error = error.describe();
  const Millis base = error.code == Code::kInvalid ? kPackageBackOff : kBackOff;
  node.retry_at = Clock::now() + base * (1U << std::min(node.failures, kMostDoublings));
  ++node.failures;
  spdlog::warn("zygote {} is out of service: {}", display_name(node), node.error);
  rebuild_index();
  node.ticket.reset();
  if (auto stock = std::move(node.stock)) {
    auto stop = [](std::shared_ptr<CloneStock> its) -> asio::awaitable<void> {
      co_await its->stop();
    };
    asio::co_spawn(executor_, stop(std::move(stock)), asio::detached);
  }
  // Coroutines that are using it hold it too; the process dies with the last of them.
  node.zygote.reset();
}

void ZygoteTree::rebuild_index() {
  ready_.clear();
  ready_sets_.clear();
  for (const auto& [id, node] : nodes_) {
    if (node->state != ZygoteNode::State::kReady) continue;
    ready_.push_back(node);
    ready_sets_.push_back(node->spec.packages);
  }
}

Result<ZygoteChoice> ZygoteTree::choose(const std::vector<pkgcache::Package>& packages) const {
  const auto best = pkgcache::best_zygote(ready_sets_, packages);
  if (!best) return fail(Code::kRejected, "zygote", "no zygote is ready; retry in a moment");
  return ZygoteChoice{ready_[*best], ready_sets_[*best].size() == packages.size()};
}

std::size_t ZygoteTree::parked() const {
  std::size_t sum = 0;
  for (const auto& [id, node] : nodes_) sum += node->stock ? node->stock->parked() : 0;
  return sum;
}

asio::awaitable<void> ZygoteTree::retire(std::shared_ptr<ZygoteNode> node) {
  spdlog::info("zygote {} is retired", display_name(*node));
  node->state = ZygoteNode::State::kFailed;
  rebuild_index();
  if (node->stock) co_await node->stock->stop();
  node->stock.reset();
  node->ticket.reset();
  node->zygote.reset();
}

asio::awaitable<void> ZygoteTree::stop() {
  stopping_ = true;
  for (const auto& [id, node] : nodes_) {
    if (node->stock) co_await node->stock->stop();
    node->stock.reset();
    node->ticket.reset();
    node->zygote.reset();
  }
  nodes_.clear();
  rebuild_index();
}

}  // namespace sock::manager
