#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/async_mutex.h"
#include "base/worker.h"
#include "manager/jobs/job_runner.h"
#include "pkgcache/catalogue.h"
#include "pkgcache/requirement.h"
#include "pkgcache/store/resolution.h"
#include "pkgcache/store/store.h"

namespace sock::manager {

/// Where packages come from that the host does not have. Without find_links and index_url: from
/// nowhere.
struct InstallerOptions {
  /// Host folders of wheels that everybody may read; at most sandbox::kMostWheelFolders.
  std::vector<std::filesystem::path> find_links;
  std::string index_url;                      ///< empty: none, and then no network either
  std::vector<std::string> extra_index_urls;  ///< asked as well, where there is an index_url
  std::vector<std::string> extra_options;  ///< of `pip install`, for choosing: trusted as they are
  /// Builds what there is no wheel of. Its build code runs where the downloads are, and with their
  /// network. Requirements with hashes still get wheels alone.
  bool allow_sdists = false;
  /// Packages that may take the place of wheels that are not to be had; null: none.
  const pkgcache::Catalogue* host = nullptr;
  netns::Egress egress;  ///< of jobs that ask an index
  sandbox::Limits limits = kJobLimits;
  Millis timeout{300'000};  ///< of each job
};

/// What a requirements.txt comes to.
struct Installed {
  std::vector<pkgcache::Package> packages;  ///< sorted by name, dependencies included
  std::shared_ptr<const pkgcache::Pin> pin;
};

/// Finds the packages that requirements ask for and puts them into the store: pip chooses and
/// downloads in one sandbox, installs in others, and what comes out is admitted by the store as the
/// hostile input it is. On the event loop; not thread safe. What it is given must outlive its work.
class Installer {
 public:
  /// Empties `work_folder`, for what is between two sandboxes. `disk` copies for as long as
  /// seconds.
  [[nodiscard]] static Result<std::unique_ptr<Installer>> create(InstallerOptions options,
                                                                 std::filesystem::path work_folder,
                                                                 JobRunner& jobs,
                                                                 pkgcache::Store& store,
                                                                 Worker& disk);

  /// Whether there is anywhere to look.
  [[nodiscard]] bool configured() const {
    return !options_.find_links.empty() || !options_.index_url.empty();
  }

  /// The packages for these requirements, all of them in the store. One at a time, in turn; whoever
  /// asks for what was just installed waits for no download and no install.
  ///
  /// kInvalid, in words for the deployer, when there are none or they are no good; the codes of
  /// JobRunner::run() when a job fails. Nothing of a package that failed is left.
  [[nodiscard]] boost::asio::awaitable<Result<Installed>> ensure(
      std::vector<pkgcache::Requirement> requirements);

 private:
  using Wheels = std::vector<pkgcache::ResolvedWheel>;

  Installer(InstallerOptions options, std::filesystem::path work_folder, JobRunner& jobs,
            pkgcache::Store& store, Worker& disk);

  [[nodiscard]] std::filesystem::path wheels_folder() const { return work_folder_ / "wheels"; }
  [[nodiscard]] Result<> clear() const;
  [[nodiscard]] Job fetch_job(const std::vector<pkgcache::Requirement>& requirements) const;
  [[nodiscard]] Result<std::vector<pkgcache::Entry>> host_entries(
      const boost::json::object& answer) const;
  [[nodiscard]] Job install_job(const Wheels& wheels) const;
  [[nodiscard]] boost::asio::awaitable<Result<Installed>> obtain(
      std::vector<pkgcache::Requirement> requirements);
  [[nodiscard]] boost::asio::awaitable<Result<pkgcache::Resolution>> fetch(
      const std::vector<pkgcache::Requirement>& requirements);
  [[nodiscard]] boost::asio::awaitable<Result<>> install(Wheels wheels);
  [[nodiscard]] Result<> take_wheels(int tmp) const;
  [[nodiscard]] Result<Wheels> missing(const pkgcache::Resolution& resolution) const;
  [[nodiscard]] Result<> admit(const Wheels& wheels, const boost::json::object& answer, int tmp);

  InstallerOptions options_;
  std::filesystem::path work_folder_;
  JobRunner& jobs_;
  pkgcache::Store& store_;
  Worker& disk_;
  AsyncMutex turn_;
};

}  // namespace sock::manager
