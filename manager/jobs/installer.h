#pragma once

#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/async_mutex.h"
#include "base/worker.h"
#include "manager/jobs/job_runner.h"
#include "pkgcache/package.h"

namespace sock::pkgcache {
class Store;
}

namespace sock::manager {

/// Where packages come from that the host does not have. Without find_links and index_url: from
/// nowhere.
struct InstallerOptions {
  std::vector<std::filesystem::path> find_links;  ///< host folders of wheels; at most 4
  std::string index_url;                          ///< empty: none, and then no network either
  std::vector<std::string> extra_index_urls;
  std::vector<std::string> extra_options;  ///< of pip, for resolving: trusted as they are
  /// Builds what there is no wheel of. Its build code runs where the downloads are.
  bool allow_sdists = false;
  netns::Egress egress;  ///< of jobs that ask an index
  sandbox::Limits limits = kJobLimits;
  Millis timeout{300'000};  ///< of each job
};

/// Finds the packages that requirements.txt files ask for and puts them into the store: pip chooses
/// and downloads in one sandbox, installs in another, and what comes out is admitted by the store
/// as the hostile input it is. On the event loop; not thread safe. What it is given must outlive
/// its work.
class Installer {
 public:
  Installer(InstallerOptions options, std::filesystem::path work_folder, JobRunner& jobs,
            pkgcache::Store& store, Worker& disk);

  /// Whether there is anywhere to look.
  [[nodiscard]] bool configured() const;

  /// The exact packages for this requirements.txt, dependencies included, sorted by name and all of
  /// them in the store. One at a time; who asks for what was just installed waits for no install.
  ///
  /// kInvalid, in words for the deployer, when pip finds none or the packages are no good.
  [[nodiscard]] boost::asio::awaitable<Result<std::vector<pkgcache::Package>>> ensure(
      std::string requirements);

 private:
  InstallerOptions options_;
  std::filesystem::path work_folder_;
  JobRunner& jobs_;
  pkgcache::Store& store_;
  Worker& disk_;
  AsyncMutex turn_;
};

}  // namespace sock::manager
