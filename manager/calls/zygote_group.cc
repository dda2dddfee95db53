#include "manager/calls/zygote_group.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <tuple>

#include "base/await_exit.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// A zygote that could not be replicated will not be a moment later.
constexpr Millis kReplicaBackOff{60'000};

/// Processes tried for one clone.
constexpr int kMostTries = 2;

}  // namespace

/// One process of the group.
struct ZygoteGroup::Member {
  Member(std::shared_ptr<zygote::Zygote> its_zygote, std::shared_ptr<ReplicaLimit> its_limit)
      : zygote(std::move(its_zygote)), limit(std::move(its_limit)) {}
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  ~Member() {
    if (limit) --limit->used;
  }

  std::shared_ptr<zygote::Zygote> zygote;
  std::shared_ptr<ReplicaLimit> limit;  ///< null for the first
  std::unique_ptr<LedgerTicket> ticket;
  std::size_t at_work = 0;
};

ZygoteGroup::ZygoteGroup(asio::any_io_executor executor, ZygoteGroupParts parts, std::string name,
                         std::function<void(const ZygoteGroup&, const Error&)> on_dead)
    : executor_(std::move(executor)),
      parts_(std::move(parts)),
      name_(std::move(name)),
      on_dead_(std::move(on_dead)) {}

ZygoteGroup::~ZygoteGroup() = default;

void ZygoteGroup::start(CloneRecipe recipe) {
  touches_ = std::move(recipe.touches);
  add(std::move(recipe.zygote), false);
}

Result<CloneRecipe> ZygoteGroup::recipe() const {
  if (members_.empty()) return fail(Code::kInternal, "zygote", "it died");
  return CloneRecipe{.zygote = members_.front()->zygote, .touches = touches_};
}

void ZygoteGroup::add(std::shared_ptr<zygote::Zygote> zygote, bool replica) {
  auto member = std::make_shared<Member>(std::move(zygote), replica ? parts_.replicas : nullptr);
  auto ticket = parts_.ledger.record(LedgerKind::kZygote, name_, member->zygote->process().pid());
  if (ticket) member->ticket = std::make_unique<LedgerTicket>(std::move(*ticket));
  members_.push_back(member);
  load_.grown(Clock::now());
  // A watcher must not keep the process alive that it watches.
  Fd pidfd(::fcntl(member->zygote->process().pidfd(), F_DUPFD_CLOEXEC, 0));
  auto keep_alive = [](std::shared_ptr<ZygoteGroup> self, std::weak_ptr<Member> its,
                       Fd its_pidfd) -> asio::awaitable<void> {
    co_await self->watch(std::move(its), std::move(its_pidfd));
  };
  asio::co_spawn(executor_, keep_alive(shared_from_this(), member, std::move(pidfd)),
                 asio::detached);
}

asio::awaitable<void> ZygoteGroup::watch(std::weak_ptr<Member> member, Fd pidfd) {
  auto ended = co_await await_exit(pidfd.get(), Clock::time_point::max());
  const auto alive = member.lock();
  if (ended && alive) drop(alive, Error{Code::kInternal, "zygote", 0, "it died"});
}

std::shared_ptr<ZygoteGroup::Member> ZygoteGroup::least_busy() const {
  const auto load = [](const std::shared_ptr<Member>& member) {
    return std::tuple(member->zygote->waiting(), member->at_work);
  };
  const auto least = std::ranges::min_element(members_, {}, load);
  return least == members_.end() ? nullptr : *least;
}

std::shared_ptr<zygote::Zygote> ZygoteGroup::zygote() const {
  return members_.empty() ? nullptr : members_.front()->zygote;
}

std::vector<std::shared_ptr<zygote::Zygote>> ZygoteGroup::all() const {
  std::vector<std::shared_ptr<zygote::Zygote>> out;
  for (const auto& member : members_) out.push_back(member->zygote);
  return out;
}

asio::awaitable<Result<std::unique_ptr<Clone>>> ZygoteGroup::make(Network network,
                                                                  const Function* owner) {
  const auto self = shared_from_this();
  Error last{Code::kInternal, "zygote", 0, "it died"};
  for (int i = 0; i < kMostTries; ++i) {
    watch_load();
    const auto member = least_busy();
    if (!member) break;
    ++member->at_work;
    auto slot = co_await parts_.slots.take(network, owner);
    if (!slot) {
      --member->at_work;
      co_return std::unexpected(slot.error());
    }
    CloneRecipe recipe;
    recipe.zygote = member->zygote;
    recipe.network = network;
    recipe.touches = touches_;
    auto clone = co_await make_clone(std::move(recipe), std::move(*slot), parts_.slots);
    --member->at_work;
    if (clone) co_return clone;
    last = clone.error();
    if (last.code == Code::kDraining || last.code == Code::kRejected) break;
    drop(member, last);
  }
  co_return std::unexpected(last);
}

void ZygoteGroup::drop(const std::shared_ptr<Member>& member, const Error& error) {
  if (std::erase(members_, member) == 0) return;
  member->ticket.reset();
  if (!members_.empty()) {
    spdlog::warn("a replica of zygote {} is given up: {}", name_, error.describe());
  } else if (!closed_) {
    closed_ = true;
    on_dead_(*this, error);
  }
}

void ZygoteGroup::watch_load() {
  const auto now = Clock::now();
  const auto member = least_busy();
  if (!member || !load_.observe(member->zygote->waiting(), now)) return;
  ReplicaLimit& limit = *parts_.replicas;
  if (closed_ || replicating_ || now < replicate_after_ || limit.used >= limit.max) return;
  ++limit.used;
  replicating_ = true;
  auto keep_alive = [](std::shared_ptr<ZygoteGroup> self) -> asio::awaitable<void> {
    co_await self->add_replica();
  };
  asio::co_spawn(executor_, keep_alive(shared_from_this()), asio::detached);
}

asio::awaitable<void> ZygoteGroup::add_replica() {
  const auto origin = members_.front()->zygote;
  zygote::ZygoteConfig nothing;
  nothing.seal = origin->sealing().sealed;
  auto forked = co_await origin->fork_child(std::move(nothing), parts_.fork_timeout);
  replicating_ = false;
  load_.grown(Clock::now());
  if (closed_ || !forked) {
    --parts_.replicas->used;
    replicate_after_ = Clock::now() + kReplicaBackOff;
    if (!closed_) spdlog::warn("no replica of zygote {}: {}", name_, forked.error().describe());
    co_return;
  }
  // From here on the member gives the place back.
  add(std::move(*forked), true);
  spdlog::info("zygote {} has {} processes", name_, members_.size());
}

void ZygoteGroup::tick() {
  if (members_.size() < 2 || !load_.take_quiet(Clock::now())) return;
  members_.pop_back();
  spdlog::info("zygote {} has {} processes", name_, members_.size());
}

void ZygoteGroup::close() {
  closed_ = true;
  members_.clear();
}

}  // namespace sock::manager
