#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/worker.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_pool.h"
#include "sandbox/limits.h"

namespace sock::manager {

/// The event loop's side of the cgroup pool, which lives on a worker: an errand to that thread
/// costs more than what it does there, so it settles many cgroups at once and fetches new ones by
/// the way. On the event loop; not thread safe. Pool and worker must outlive it.
class CgroupStock {
 public:
  /// `limits` are in force in every cgroup that is taken.
  CgroupStock(boost::asio::any_io_executor executor, sandbox::CgroupPool& pool, Worker& worker,
              const sandbox::Limits& limits);

  /// One that an errand has brought along, else from the pool.
  [[nodiscard]] boost::asio::awaitable<Result<sandbox::Cgroup>> take();

  /// The accounts of a cgroup, which goes back into the pool. What is handed in during one turn of
  /// the loop is settled together.
  [[nodiscard]] boost::asio::awaitable<sandbox::CgroupUsage> settle(sandbox::Cgroup cgroup);

  /// Lets the pool shrink, unless somebody waits for a cgroup. To be called once a second.
  void tick();

  /// Gives back what was brought along. Everything taken has been settled.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  struct Batch;

  [[nodiscard]] boost::asio::awaitable<void> settle_all(std::shared_ptr<Batch> batch);
  [[nodiscard]] boost::asio::awaitable<void> trim();

  boost::asio::any_io_executor executor_;
  sandbox::CgroupPool& pool_;
  Worker& worker_;
  sandbox::Limits limits_;
  std::shared_ptr<Batch> open_;          ///< the one that is still being added to
  std::vector<sandbox::Cgroup> spares_;  ///< brought along
  std::size_t coming_ = 0;               ///< spares that errands are to bring
  std::size_t takers_ = 0;               ///< waiting for the pool
  bool stopping_ = false;
};

}  // namespace sock::manager
