#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>

#include "base/worker.h"
#include "manager/background.h"
#include "manager/calls/admission.h"
#include "manager/calls/call_history.h"
#include "manager/calls/dispatcher.h"
#include "manager/calls/slot_stock.h"
#include "manager/calls/uid_pool.h"
#include "manager/calls/zygote_tree.h"
#include "manager/deployer.h"
#include "manager/functions/registry.h"
#include "manager/jobs/job_runner.h"
#include "manager/metrics.h"
#include "manager/networks.h"
#include "manager/packages/packages.h"
#include "manager/planning/gardener.h"
#include "manager/service.h"
#include "manager/settings/config.h"
#include "manager/state/ledger.h"
#include "manager/state/stats_segment.h"
#include "sandbox/cgroup_pool.h"
#include "sandbox/keeper.h"

namespace sock::manager {

/// sockd without its socket: all parts, put together. Owns every kernel object of the instance.
/// On the event loop; not thread safe.
class Daemon final : public Service {
 public:
  /// Reclaims what an instance that crashed on the same state directory left behind, then builds
  /// everything up to a ready root zygote. The error says what is missing on this host.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<Daemon>>> start(Config config);

  ~Daemon() override;

  /// Lets running calls finish until `deadline`, kills the rest, and gives everything back.
  [[nodiscard]] boost::asio::awaitable<void> shutdown(Clock::time_point deadline);

  /// Completes with an error when the daemon can no longer work (its keeper has died).
  [[nodiscard]] boost::asio::awaitable<Error> failure();

  boost::asio::awaitable<CallRecord> invoke(std::string id, std::string function,
                                            std::string event) override;
  void cancel(const std::string& id) override;
  boost::asio::awaitable<Result<CallRecord>> call(std::string id) override;
  Result<std::vector<std::string>> recent_calls(const std::string& function) override;
  boost::asio::awaitable<Result<Function>> deploy(DeployRequest request) override;
  boost::asio::awaitable<Result<>> remove(std::string name) override;
  Result<Function> describe(const std::string& name) override;
  std::vector<Function> list() override;
  boost::json::object zygotes() override;
  boost::json::object netns() override;
  boost::json::object packages() override;
  boost::asio::awaitable<Result<>> warm(std::vector<std::string> set) override;
  boost::asio::awaitable<Result<>> cool(std::vector<std::string> set) override;
  boost::json::object doctor() override;
  boost::json::object health() override;
  std::string metrics() override;

 private:
  explicit Daemon(Config config, const boost::asio::any_io_executor& executor);

  [[nodiscard]] boost::asio::awaitable<Result<>> build();
  [[nodiscard]] Result<> open_state();
  [[nodiscard]] Result<> read_packages();
  [[nodiscard]] boost::asio::awaitable<Result<>> build_sandboxes();
  [[nodiscard]] boost::asio::awaitable<Result<>> build_zygotes();
  [[nodiscard]] boost::asio::awaitable<void> tick();
  void functions_changed();
  void settled(const CallRecord& record);
  [[nodiscard]] std::filesystem::path stats_path() const;
  void publish_stats();
  void update_gauges();

  Config config_;
  boost::asio::any_io_executor executor_;
  Clock::time_point started_ = Clock::now();
  bool draining_ = false;

  Background background_;
  Background errands_;  ///< what has sandboxes made beside calls: deploys, measurements

  // In the order they are built; each uses those above it.
  Worker cgroup_worker_;
  Worker memory_worker_;  ///< reads other processes' memory
  Worker planning_worker_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<StatsSegment> stats_segment_;
  std::optional<LedgerTicket> cgroup_ticket_;
  std::optional<LedgerTicket> keeper_ticket_;
  std::unique_ptr<Packages> packages_;
  std::unique_ptr<sandbox::CgroupPool> cgroups_;
  std::unique_ptr<sandbox::Keeper> keeper_;
  std::unique_ptr<Networks> networks_;
  UidPool uids_;
  std::unique_ptr<SlotStock> slots_;
  std::shared_ptr<StockBudget> parked_budget_;
  std::unique_ptr<ZygoteTree> zygotes_;
  std::unique_ptr<CodeCache> code_;
  std::unique_ptr<FunctionZygotes> functions_;
  std::unique_ptr<JobRunner> jobs_;
  std::unique_ptr<Gardener> gardener_;
  std::unique_ptr<Deployer> deployer_;
  std::unique_ptr<Admission> admission_;
  std::unique_ptr<Dispatcher> dispatcher_;
  CallHistory history_;
  Metrics metrics_;
  Stats stats_{};
  boost::asio::steady_timer ticker_;

  // First of all to end: what they are doing uses the registry and the store.
  Worker disk_worker_;
  Worker package_worker_;  ///< of the store, which may take seconds
};

}  // namespace sock::manager
