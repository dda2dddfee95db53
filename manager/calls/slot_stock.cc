#include "manager/calls/slot_stock.h"

#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

SlotStock::SlotStock(asio::any_io_executor executor, SlotStockOptions options,
                     netns::NetnsPool& netns, sandbox::Keeper& keeper, sandbox::CgroupPool& cgroups,
                     Worker& cgroup_worker, UidPool& uids, Ledger& ledger)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      netns_(netns),
      keeper_(keeper),
      cgroup_worker_(cgroup_worker),
      uids_(uids),
      ledger_(ledger),
      cgroups_(executor_, cgroups, cgroup_worker, options_.limits),
      undertaker_(executor_, cgroups_, uids),
      warmer_(executor_, cgroup_worker,
              [&cgroups, helper = keeper.pid()] { return cgroups.attach_service(helper); }),
      attach_after_birth_(cgroups.layout() != sandbox::CgroupLayout::kV2) {
  shelves_[Network::kNone] = make_shelf(Network::kNone);
  if (options_.nat) shelves_[Network::kNat] = make_shelf(Network::kNat);
  set_stock(Network::kNone, options_.stock);
}

std::unique_ptr<SlotShelf> SlotStock::make_shelf(Network network) {
  auto build_one = [this, network] { return build(network); };
  auto bury_one = [this](std::unique_ptr<Slot> slot) { return bury_unused(std::move(slot)); };
  return std::make_unique<SlotShelf>(executor_, std::move(build_one), std::move(bury_one));
}

netns::NetnsPool& SlotStock::pool(Network network) {
  return network == Network::kNone ? netns_ : options_.nat->netns;
}

std::uint32_t SlotStock::host_uid(const Slot& slot) const { return keeper_.id_base() + slot.uid; }

asio::awaitable<Result<std::unique_ptr<Slot>>> SlotStock::build(Network network,
                                                                std::string owner) {
  netns::NetnsPool& home = pool(network);
  auto netns = co_await home.lease(std::move(owner));
  if (!netns) co_return std::unexpected(netns.error());
  auto cgroup = co_await cgroups_.take();
  if (!cgroup) {
    home.retire(std::move(*netns));
    co_return std::unexpected(cgroup.error());
  }
  auto shell = co_await keeper_.build_shell(netns->fd(), options_.limits.tmp_bytes);
  auto shell_pid = shell ? pid_of(shell->pidfd()) : std::unexpected(shell.error());
  auto ticket = ledger_.record(LedgerKind::kCgroup, cgroup->name(), shell_pid.value_or(-1));
  const auto uid = uids_.take();
  if (shell_pid && ticket && uid) {
    co_return std::make_unique<Slot>(network, &home, std::move(*netns), std::move(*cgroup),
                                     std::move(*shell), *shell_pid, *uid, std::move(*ticket));
  }
  if (uid) uids_.give_back(*uid);
  const auto unused = co_await cgroups_.settle(std::move(*cgroup));
  (void)unused;
  home.retire(std::move(*netns));
  if (!shell_pid) co_return std::unexpected(shell_pid.error());
  if (!ticket) co_return std::unexpected(ticket.error());
  co_return fail(Code::kRejected, "sandbox", "no user id is free");
}

asio::awaitable<Result<std::unique_ptr<Slot>>> SlotStock::take(Network network,
                                                               const Function* owner) {
  if (stopping_) co_return fail(Code::kDraining, "sandbox", "sockd is stopping");
  if (!offers(network)) {
    co_return fail(Code::kInternal, "network", "nat is not enabled on this daemon ([nat] ipv4)");
  }
  if (owner != nullptr) {
    // Its own comes before the time that one from the shelf would save.
    auto key = owner_of(*owner);
    if (pool(network).keeps_for(key)) co_return co_await build(network, std::move(key));
  }
  auto slot = shelves_[network]->take();
  if (slot) co_return slot;
  co_return co_await build(network);
}

asio::awaitable<Result<>> SlotStock::open(Slot& slot, const Function& function) {
  if (slot.network != Network::kNat || function.spec.network != Network::kNat || !options_.nat) {
    co_return fail(Code::kInternal, "network", "the sandbox is of another network class");
  }
  slot.half_open = true;
  auto opened = co_await options_.nat->open(slot.netns, function.spec.egress);
  if (opened) slot.half_open = false;
  co_return opened;
}

std::string_view SlotStock::resolv_conf(const Slot& slot) const {
  if (slot.network != Network::kNat || !options_.nat) return {};
  return options_.nat->resolv_conf;
}

void SlotStock::set_stock(Network network, std::size_t stock) {
  if (offers(network)) shelves_[network]->set_stock(stock);
}

std::size_t SlotStock::ready() const {
  std::size_t sum = 0;
  for (const auto& shelf : shelves_) sum += shelf ? shelf->ready() : 0;
  return sum;
}

asio::awaitable<Obituary> SlotStock::bury(std::unique_ptr<Slot> slot, Process clone, Haste haste) {
  return undertaker_.bury(std::move(slot), std::move(clone), haste);
}

asio::awaitable<void> SlotStock::bury_unused(std::unique_ptr<Slot> slot) {
  const auto obituary = co_await bury(std::move(slot), Process(), Haste::kCallerWaits);
  (void)obituary;
}

asio::awaitable<void> SlotStock::stop() {
  stopping_ = true;
  for (const auto& shelf : shelves_) {
    if (shelf) co_await shelf->stop();
  }
  co_await undertaker_.finish();
  co_await warmer_.stop();
  co_await cgroups_.stop();
}

}  // namespace sock::manager
