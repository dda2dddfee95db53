#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/worker.h"
#include "manager/background.h"
#include "manager/functions/function.h"
#include "manager/jobs/installer.h"
#include "manager/jobs/job_runner.h"
#include "manager/packages/measurer.h"
#include "manager/packages/warm_list.h"
#include "manager/settings/config.h"
#include "pkgcache/adapt/measured_packages.h"
#include "pkgcache/catalogue.h"
#include "pkgcache/library.h"
#include "pkgcache/profile/profile_book.h"
#include "pkgcache/store/store.h"

namespace sock::manager {

/// All that functions can import: the host's packages and the store's, what each costs, and who
/// needs it. On the event loop unless said otherwise; not thread safe.
class Packages {
 public:
  /// A function's exact packages, and what keeps them in the store.
  struct Closure {
    std::vector<pkgcache::Package> packages;
    std::shared_ptr<const pkgcache::Pin> pin;
  };

  /// Reads the host's packages and opens the store and the profiles of `config.state_dir`. Blocks
  /// on the disk.
  [[nodiscard]] static Result<std::unique_ptr<Packages>> open(const Config& config);

  /// From now on packages can be installed and measured: sandboxes are there. `on_change` hears
  /// when zygotes may hold others than before. What is given must outlive shutdown.
  [[nodiscard]] Result<> begin(JobRunner& jobs, Worker& disk, Background& background,
                               std::function<void()> on_change);

  /// The closure of a function's requirements: of the host's packages if those will do, else of
  /// wheels, which are installed into the store where they are not there yet. `requirements_txt`
  /// is the bundle's file; errors name its lines. kInvalid, for the person who deploys.
  [[nodiscard]] boost::asio::awaitable<Result<Closure>> resolve(
      std::vector<std::string> requirements, std::optional<std::string> requirements_txt);

  /// The closure of a set of requirements among what is here now: as a deployed function has it,
  /// else the store's packages, the newest that will do, before the host's.
  [[nodiscard]] Result<std::vector<pkgcache::Package>> find(
      const std::vector<std::string>& requirements) const;

  /// Keeps packages in the store; kNotFound when one is not there.
  [[nodiscard]] Result<std::shared_ptr<const pkgcache::Pin>> pin(
      std::span<const pkgcache::Package> packages) {
    return store_->pin(packages);
  }

  /// These functions are deployed, and no others: has measured what has not been.
  void adopt(std::vector<std::shared_ptr<const Function>> functions);
  /// Zygotes hold these.
  void hold(std::span<const pkgcache::Package> packages);

  /// The sets that always have a zygote: configured ones and warm ones, the parts that zygotes may
  /// hold. Those that are not here are told of, once.
  [[nodiscard]] std::vector<std::vector<pkgcache::Package>> pinned_sets();

  /// Keeps a set warm from now on, or no longer. kInvalid when it is not here, kNotFound when it
  /// was not kept.
  [[nodiscard]] boost::asio::awaitable<Result<>> warm(std::vector<std::string> set);
  [[nodiscard]] boost::asio::awaitable<Result<>> cool(std::vector<std::string> set);

  /// What zygotes may hold; see TreeController::set_packages().
  [[nodiscard]] std::shared_ptr<const pkgcache::MeasuredPackages> measured() const;

  /// What a call saves that finds these loaded, in ms, as far as they were measured.
  [[nodiscard]] double worth(std::span<const pkgcache::Package> packages) const;

  /// Takes out of the store what nobody needs, and measures what could not be before. To be called
  /// every few seconds.
  void tick();

  /// {"packages":[{"name","version","source","requires","modules",…}],"warm":[…],"measuring":n}
  [[nodiscard]] boost::json::object view() const;

  [[nodiscard]] const pkgcache::Library& library() const { return library_; }
  [[nodiscard]] const pkgcache::SearchPath& paths() const { return paths_; }
  /// To be shown to sandboxes.
  [[nodiscard]] std::filesystem::path store_folder() const { return store_->packages(); }

  void stop();

 private:
  Packages(const Config& config, pkgcache::Catalogue catalogue,
           std::unique_ptr<pkgcache::Store> store, std::unique_ptr<pkgcache::ProfileBook> book,
           WarmList warm);
  [[nodiscard]] boost::asio::awaitable<void> collect();
  [[nodiscard]] std::vector<pkgcache::Package> part_of(
      const std::vector<pkgcache::Package>& closure,
      const std::vector<pkgcache::Requirement>& requirements) const;
  /// Those that were not found unfit for zygotes, without costs.
  [[nodiscard]] pkgcache::MeasuredPackages trusted(
      std::span<const pkgcache::Package> packages) const;
  void measure_all();

  const Config& config_;
  pkgcache::Catalogue catalogue_;
  std::unique_ptr<pkgcache::Store> store_;
  std::unique_ptr<pkgcache::ProfileBook> book_;
  pkgcache::SearchPath paths_;
  pkgcache::Library library_;
  WarmList warm_;
  std::unique_ptr<Installer> installer_;
  std::optional<Measurer> measurer_;
  Worker* disk_ = nullptr;
  Background* background_ = nullptr;
  std::function<void()> on_change_;
  std::vector<std::shared_ptr<const Function>> functions_;
  std::shared_ptr<const pkgcache::Pin> held_;       ///< by zygotes
  std::shared_ptr<const pkgcache::Pin> kept_sets_;  ///< by pinned_sets()
  std::map<pkgcache::Package, unsigned> users_;     ///< functions, by package
  std::set<std::vector<std::string>> missed_;       ///< sets that were told of as not here
  unsigned installing_ = 0;
  bool collecting_ = false;
};

}  // namespace sock::manager
