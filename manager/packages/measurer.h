#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/worker.h"
#include "manager/background.h"
#include "manager/jobs/job_runner.h"
#include "pkgcache/library.h"
#include "pkgcache/profile/measurement.h"
#include "pkgcache/profile/profile_book.h"

namespace sock::manager {

/// Has packages imported in sandboxes of their own, one after the other and behind everybody's
/// back, and writes what that costs and leaves behind into the book of profiles. On the event loop;
/// not thread safe. What it is given must outlive its work.
class Measurer {
 public:
  /// `on_measured` hears of it when the book has changed.
  Measurer(Background& background, JobRunner& jobs, Worker& disk, const pkgcache::Library& library,
           pkgcache::ProfileBook& book, std::function<void()> on_measured);

  /// Measures those of an exact closure that have not been, or with another interpreter. `keep`
  /// lives until that is done.
  void want(std::span<const pkgcache::Package> closure, std::shared_ptr<const void> keep);

  /// Tries again what no sandbox was to be had for. To be called every few seconds.
  void tick();

  /// Packages whose turn has not come.
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

  void stop() { stopping_ = true; }

 private:
  struct Wanted {
    pkgcache::Package package;
    std::vector<pkgcache::Package> needs;
    std::shared_ptr<const void> keep;
    unsigned ends = 0;  ///< how often its sandbox ended, or did not, without an answer
  };

  void kick();
  [[nodiscard]] boost::asio::awaitable<void> work();
  [[nodiscard]] boost::asio::awaitable<Result<>> learn_interpreter();
  [[nodiscard]] std::vector<Wanted> next_batch();
  [[nodiscard]] boost::asio::awaitable<void> measure(std::vector<Wanted> batch);
  [[nodiscard]] boost::asio::awaitable<void> give_up(Wanted wanted, Error error);
  [[nodiscard]] boost::asio::awaitable<Result<pkgcache::Measured>> ask(
      std::span<const pkgcache::MeasureItem> items);
  [[nodiscard]] boost::asio::awaitable<void> keep(pkgcache::Profile profile);
  [[nodiscard]] pkgcache::MeasureItem item_of(const Wanted& wanted) const;

  Background& background_;
  JobRunner& jobs_;
  Worker& disk_;
  const pkgcache::Library& library_;
  pkgcache::ProfileBook& book_;
  std::function<void()> on_measured_;
  std::string interpreter_;  ///< empty: not known yet
  std::map<pkgcache::Package, Wanted> queue_;
  Clock::time_point retry_at_{};
  bool working_ = false;
  bool stopping_ = false;
};

}  // namespace sock::manager
