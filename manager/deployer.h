#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/worker.h"
#include "manager/functions/registry.h"
#include "manager/packages/packages.h"
#include "manager/service.h"
#include "manager/settings/config.h"

namespace sock::manager {

/// Makes functions of what arrives over the API: unpacks, reads what the deployer wrote, finds the
/// packages, stores. On the event loop, which never waits for the disk; not thread safe. What it is
/// given must outlive its work.
class Deployer {
 public:
  Deployer(const Config& config, Registry& registry, Packages& packages, Worker& disk)
      : config_(config), registry_(registry), packages_(packages), disk_(disk) {}

  /// The new generation. After an error nothing of it is left, and an older one goes on. kConflict
  /// when, while its packages were being installed, the function was deployed or removed by
  /// somebody who came later.
  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<const Function>>> deploy(
      DeployRequest request);

  /// The function was removed: deploys that have begun must not bring it back.
  void removed(const std::string& name);

 private:
  /// What the disk worker has made of a request.
  struct Draft {
    std::optional<StagedFunction> staged;
    FunctionSpec spec;
    std::optional<std::string> requirements_txt;
  };

  [[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<const Function>>> deploy_as(
      std::uint64_t ticket, DeployRequest request);
  [[nodiscard]] Result<Draft> unpack(const DeployRequest& request) const;

  const Config& config_;
  Registry& registry_;
  Packages& packages_;
  Worker& disk_;
  std::uint64_t tickets_ = 0;
  std::size_t at_work_ = 0;
  std::map<std::string, std::uint64_t> latest_;  ///< change that counts, by function; while at work
};

}  // namespace sock::manager
