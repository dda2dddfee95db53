#include "manager/calls/cgroup_stock.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// As many as sandboxes are usually built at a time.
constexpr std::size_t kSpares = 4;

}  // namespace

struct CgroupStock::Batch {
  std::vector<sandbox::Cgroup> cgroups;
  std::vector<sandbox::CgroupUsage> usages;  ///< one for each of them, when `done`
  asio::steady_timer done;                   ///< cancelled then
};

CgroupStock::CgroupStock(asio::any_io_executor executor, sandbox::CgroupPool& pool, Worker& worker,
                         const sandbox::Limits& limits)
    : executor_(std::move(executor)), pool_(pool), worker_(worker), limits_(limits) {}

asio::awaitable<Result<sandbox::Cgroup>> CgroupStock::take() {
  if (!spares_.empty()) {
    auto cgroup = std::move(spares_.back());
    spares_.pop_back();
    co_return cgroup;
  }
  ++takers_;
  auto take_one = [this] { return pool_.take(limits_); };
  auto cgroup = co_await worker_.run(take_one);
  --takers_;
  co_return cgroup;
}

asio::awaitable<sandbox::CgroupUsage> CgroupStock::settle(sandbox::Cgroup cgroup) {
  if (!open_) {
    open_.reset(new Batch{{}, {}, asio::steady_timer(executor_, Clock::time_point::max())});
    asio::co_spawn(executor_, settle_all(open_), asio::detached);
  }
  const auto batch = open_;
  const std::size_t place = batch->cgroups.size();
  batch->cgroups.push_back(std::move(cgroup));
  auto ignored = co_await batch->done.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)ignored;
  co_return batch->usages[place];
}

asio::awaitable<void> CgroupStock::settle_all(std::shared_ptr<Batch> batch) {
  // The others of this turn of the loop come first.
  co_await asio::post(executor_, asio::use_awaitable);
  open_.reset();
  const std::size_t room = kSpares - std::min(kSpares, spares_.size() + coming_);
  const std::size_t wanted = stopping_ ? 0 : std::min(room, batch->cgroups.size());
  coming_ += wanted;
  std::vector<sandbox::Cgroup> brought;
  auto settle_them = [this, &batch, &brought, wanted] {
    for (auto& cgroup : batch->cgroups) {
      batch->usages.push_back(pool_.give_back(std::move(cgroup)));
    }
    while (brought.size() < wanted) {
      auto spare = pool_.take(limits_);
      if (!spare) break;
      brought.push_back(std::move(*spare));
    }
    return true;
  };
  co_await worker_.run(settle_them);
  coming_ -= wanted;
  for (auto& spare : brought) spares_.push_back(std::move(spare));
  batch->done.cancel();
}

void CgroupStock::tick() {
  if (takers_ == 0 && !open_) asio::co_spawn(executor_, trim(), asio::detached);
}

asio::awaitable<void> CgroupStock::trim() {
  auto trim_pool = [this] { return pool_.trim(Clock::now()); };
  auto ignored = co_await worker_.run(trim_pool);
  (void)ignored;
}

asio::awaitable<void> CgroupStock::stop() {
  stopping_ = true;
  auto give_back = [this] {
    for (auto& cgroup : spares_) pool_.give_back(std::move(cgroup));
    return true;
  };
  co_await worker_.run(give_back);
  spares_.clear();
}

}  // namespace sock::manager
