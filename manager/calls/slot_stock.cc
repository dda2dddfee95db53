#include "manager/calls/slot_stock.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sock::manager {

namespace asio = boost::asio;

SlotStock::SlotStock(asio::any_io_executor executor, SlotStockOptions options,
                     netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
                     Worker& cgroup_worker, UidPool& uids, Ledger& ledger)
    : executor_(std::move(executor)),
      options_(options),
      netns_(netns),
      keeper_(keeper),
      cgroup_worker_(cgroup_worker),
      uids_(uids),
      ledger_(ledger),
      cgroups_(executor_, cgroups, cgroup_worker, options_.limits),
      undertaker_(executor_, netns, cgroups_, uids),
      warmer_(executor_, cgroup_worker,
              [&cgroups, helper = keeper.pid()] { return cgroups.attach_service(helper); }),
      attach_after_birth_(cgroups.layout() != sandbox::CgroupLayout::kV2),
      refills_(executor_) {}

std::uint32_t SlotStock::host_uid(const Slot& slot) const { return keeper_.id_base() + slot.uid; }

asio::awaitable<Result<std::unique_ptr<Slot>>> SlotStock::build() {
  auto netns = co_await netns_.lease();
  if (!netns) co_return std::unexpected(netns.error());
  auto cgroup = co_await cgroups_.take();
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
  const auto unused = co_await cgroups_.settle(std::move(*cgroup));
  (void)unused;
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
  refills_.run(refill_loop());
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

asio::awaitable<Obituary> SlotStock::bury(std::unique_ptr<Slot> slot, Process clone, Haste haste) {
  return undertaker_.bury(std::move(slot), std::move(clone), haste);
}

asio::awaitable<void> SlotStock::stop() {
  stopping_ = true;
  (void)co_await refills_.wait(Clock::time_point::max());
  for (auto& slot : slots_) {
    asio::co_spawn(executor_, bury(std::move(slot), Process(), Haste::kCallerWaits),
                   asio::detached);
  }
  slots_.clear();
  co_await undertaker_.finish();
  co_await warmer_.stop();
  co_await cgroups_.stop();
}

}  // namespace sock::manager
