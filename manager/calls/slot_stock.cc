#include "manager/calls/slot_stock.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/await_exit.h"

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// The kernel needs milliseconds to tear a sandbox down, even one full of forks.
constexpr Millis kDeathTimeout{5'000};

/// As many as slots are usually built at a time.
constexpr std::size_t kSpareCgroups = 4;

}  // namespace

SlotStock::SlotStock(asio::any_io_executor executor, SlotStockOptions options,
                     netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
                     Worker& cgroup_worker, UidPool& uids, Ledger& ledger)
    : executor_(std::move(executor)),
      options_(options),
      netns_(netns),
      keeper_(keeper),
      cgroups_(cgroups),
      cgroup_worker_(cgroup_worker),
      uids_(uids),
      ledger_(ledger) {}

bool SlotStock::attach_after_birth() const {
  return cgroups_.layout() != sandbox::CgroupLayout::kV2;
}

std::uint32_t SlotStock::host_uid(const Slot& slot) const { return keeper_.id_base() + slot.uid; }

asio::awaitable<Result<sandbox::Cgroup>> SlotStock::take_cgroup() {
  if (!spare_cgroups_.empty()) {
    auto cgroup = std::move(spare_cgroups_.back());
    spare_cgroups_.pop_back();
    co_return cgroup;
  }
  auto take = [this] { return cgroups_.take(options_.limits); };
  co_return co_await cgroup_worker_.run(take);
}

asio::awaitable<Result<std::unique_ptr<Slot>>> SlotStock::build() {
  auto netns = co_await netns_.lease();
  if (!netns) co_return std::unexpected(netns.error());
  auto cgroup = co_await take_cgroup();
  if (!cgroup) {
    netns_.retire(std::move(*netns));
    co_return std::unexpected(cgroup.error());
  }
  auto shell = co_await keeper_.build_shell(netns->fd(), options_.limits.tmp_bytes);
  auto shell_pid = shell ? pid_of(shell->pidfd()) : std::unexpected(shell.error());
  auto ticket = ledger_.record(LedgerKind::kCgroup, cgroup->name(), shell_pid.value_or(-1));
  const auto uid = uids_.take();
  if (shell_pid && ticket && uid) {
    co_return std::make_unique<Slot>(std::move(*netns), std::move(*cgroup), std::move(*shell),
                                     *shell_pid, *uid, std::move(*ticket));
  }
  if (uid) uids_.give_back(*uid);
  auto give_back = [this, &cgroup] { return cgroups_.give_back(std::move(*cgroup)), true; };
  co_await cgroup_worker_.run(give_back);
  netns_.retire(std::move(*netns));
  if (!shell_pid) co_return std::unexpected(shell_pid.error());
  if (!ticket) co_return std::unexpected(ticket.error());
  co_return fail(Code::kRejected, "sandbox", "no user id is free");
}

asio::awaitable<Result<std::unique_ptr<Slot>>> SlotStock::take() {
  if (stopping_) co_return fail(Code::kDraining, "sandbox", "sockd is stopping");
  if (slots_.empty()) {
    refill();
    co_return co_await build();
  }
  auto slot = std::move(slots_.front());
  slots_.pop_front();
  refill();
  co_return slot;
}

void SlotStock::refill() {
  if (refilling_ || stopping_ || slots_.size() >= options_.stock) return;
  refilling_ = true;
  asio::co_spawn(executor_, refill_loop(), asio::detached);
}

asio::awaitable<void> SlotStock::refill_loop() {
  while (!stopping_ && slots_.size() < options_.stock) {
    auto slot = co_await build();
    if (!slot) {
      spdlog::warn("cannot prepare a sandbox: {}", slot.error().describe());
      break;
    }
    slots_.push_back(std::move(*slot));
  }
  refilling_ = false;
}

asio::awaitable<Obituary> SlotStock::bury(std::unique_ptr<Slot> slot, Process clone) {
  ++dying_;
  Obituary obituary;
  slot->shell.kill();
  if (clone.valid()) {
    clone.signal(SIGKILL);
    auto ended = co_await await_exit(clone.pidfd(), Clock::now() + kDeathTimeout);
    if (!ended)
      spdlog::error("sandbox {} does not die: {}", slot->cgroup.name(), ended.error().describe());
    obituary.exit = clone.try_reap();
  }
  // pid 1 ends only after everything else in its pid namespace (pid_namespaces(7)).
  auto emptied = co_await await_exit(slot->shell.pidfd(), Clock::now() + kDeathTimeout);
  if (!emptied)
    spdlog::error("init of sandbox {} does not die: {}", slot->cgroup.name(),
                  emptied.error().describe());
  // One errand for both: a round trip to the worker costs more than what it does here.
  const bool spare_wanted = !stopping_ && spare_cgroups_.size() < kSpareCgroups;
  std::optional<Result<sandbox::Cgroup>> spare;
  auto settle = [this, &slot, &spare, spare_wanted] {
    auto usage = slot->cgroup.usage();
    cgroups_.give_back(std::move(slot->cgroup));
    if (spare_wanted) spare = cgroups_.take(options_.limits);
    return usage;
  };
  auto usage = co_await cgroup_worker_.run(settle);
  if (usage) obituary.usage = *usage;
  if (spare && *spare) spare_cgroups_.push_back(std::move(**spare));
  if (emptied) {
    netns_.give_back(std::move(slot->netns));
    uids_.give_back(slot->uid);
  } else {
    // Somebody may be alive in it under this id: neither is anybody else's any more.
    netns_.retire(std::move(slot->netns));
  }
  --dying_;
  co_return obituary;
}

asio::awaitable<void> SlotStock::stop() {
  stopping_ = true;
  while (!slots_.empty()) {
    auto slot = std::move(slots_.front());
    slots_.pop_front();
    co_await bury(std::move(slot), Process());
  }
  auto give_back = [this] {
    for (auto& cgroup : spare_cgroups_) cgroups_.give_back(std::move(cgroup));
    return true;
  };
  co_await cgroup_worker_.run(give_back);
  spare_cgroups_.clear();
}

}  // namespace sock::manager
