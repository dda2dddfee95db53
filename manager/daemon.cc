#include "manager/daemon.h"

#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/await_exit.h"
#include "base/spawn.h"
#include "manager/calls/zygote_views.h"
#include "manager/doctor.h"
#include "manager/state/reclaim.h"
#include "sandbox/rootfs.h"
#include "sandbox/seccomp_policy.h"

namespace sock::manager {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Ids 0 (the namespace's root) to 999 and the "nobody" at the top are no sandbox's.
constexpr std::uint32_t kFirstUid = 1000;
constexpr std::uint32_t kReservedAtTop = 536;

/// How long GET /v1/calls waits for a sandbox to be taken apart.
constexpr Millis kSettleTimeout{2'000};
/// How long work in the background may go on when all it works with is dead.
constexpr Millis kBackgroundTimeout{5'000};
/// How long a package may take to be copied into the store once nothing else goes on.
constexpr Millis kErrandTimeout{20'000};
constexpr Millis kTick{1'000};
constexpr unsigned kTicksPerCollect = 10;
/// Sandboxes, zygotes and helpers alive at a time; a record takes half a kilobyte.
constexpr std::uint32_t kLedgerCapacity = 4096;

}  // namespace

Daemon::Daemon(Config config, const asio::any_io_executor& executor)
    : config_(std::move(config)),
      executor_(executor),
      background_(executor),
      errands_(executor),
      uids_(kFirstUid, config_.ids.count - kReservedAtTop),
      history_(CallHistory::Limits{.calls = config_.calls.history}),
      ticker_(executor) {}

Daemon::~Daemon() = default;

asio::awaitable<Result<std::unique_ptr<Daemon>>> Daemon::start(Config config) {
  const auto executor = co_await asio::this_coro::executor;
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(config), executor));
  auto built = co_await daemon->build();
  if (!built) {
    co_await daemon->shutdown(Clock::now());
    co_return std::unexpected(built.error());
  }
  co_return daemon;
}

asio::awaitable<Result<>> Daemon::build() {
  if (auto opened = open_state(); !opened) co_return opened;
  if (auto read = read_packages(); !read) co_return read;
  auto sandboxes = co_await build_sandboxes();
  if (!sandboxes) co_return sandboxes;
  auto zygotes = co_await build_zygotes();
  if (!zygotes) co_return zygotes;
  admission_ = std::make_unique<Admission>(
      executor_, Admission::Limits{.running = config_.calls.max_running,
                                   .queued = config_.calls.max_queued,
                                   .queue_timeout = config_.calls.queue_timeout});
  dispatcher_ = std::make_unique<Dispatcher>(
      executor_, DispatcherOptions{config_.calls.result_bytes, config_.calls.log_bytes},
      *admission_, *zygotes_, *functions_, *code_, *slots_, packages_->paths(),
      [this](const CallRecord& record) { settled(record); });
  gardener_ = std::make_unique<Gardener>(
      config_,
      Gardener::Parts{*zygotes_, *functions_, *slots_, *packages_, planning_worker_, background_});
  deployer_ = std::make_unique<Deployer>(config_, *registry_, *packages_, disk_worker_);
  auto begun = packages_->begin(*jobs_, package_worker_, errands_,
                                [this] { gardener_->packages_changed(); });
  if (!begun) co_return begun;
  gardener_->packages_changed();
  functions_changed();
  asio::co_spawn(executor_, tick(), asio::detached);
  co_return Result<>{};
}

Result<> Daemon::open_state() {
  // First the registry: its lock says that this state directory is ours.
  auto registry = Registry::open(config_.state_dir, config_.deploy);
  if (!registry) return std::unexpected(registry.error());
  registry_ = std::move(registry->registry);
  for (const auto& problem : registry->problems) spdlog::warn("registry: {}", problem);

  auto ledger = Ledger::open(config_.state_dir / "ledger", kLedgerCapacity);
  if (!ledger) return std::unexpected(ledger.error());
  for (const auto& problem : ledger->problems) spdlog::warn("ledger: {}", problem);
  if (auto reclaimed = reclaim(ledger->left_behind); !reclaimed) return reclaimed;
  ledger_ = std::make_unique<Ledger>(std::move(ledger->ledger));

  auto stats = StatsSegment::create(stats_path());
  if (!stats) return std::unexpected(stats.error());
  stats_segment_ = std::make_unique<StatsSegment>(std::move(*stats));
  return {};
}

Result<> Daemon::read_packages() {
  for (auto& folder : config_.packages.folders) {
    std::error_code error;
    const auto real = std::filesystem::canonical(folder, error);
    if (error) continue;  // scan() says so
    if (auto checked = sandbox::check_bind(real); !checked) return checked;
    folder = real;
  }
  auto packages = Packages::open(config_);
  if (!packages) return std::unexpected(packages.error());
  packages_ = std::move(*packages);
  for (const auto& function : registry_->list()) {
    auto pin = packages_->pin(function->spec.packages);
    if (pin) {
      registry_->keep(*function, std::move(*pin));
    } else {
      spdlog::error("function {} cannot import what it needs; deploy it again: {}",
                    function->spec.name, pin.error().message);
    }
  }
  return {};
}

asio::awaitable<Result<>> Daemon::build_sandboxes() {
  auto folder = program_folder();
  if (!folder) co_return std::unexpected(folder.error());
  const std::string helpers = *folder + "/";

  const sandbox::CgroupPool::Options cgroup_options{.parent = config_.cgroup_parent,
                                                    .delegate_uid = config_.ids.base};
  auto cgroups = sandbox::CgroupPool::create(cgroup_options);
  if (!cgroups) co_return std::unexpected(cgroups.error());
  cgroups_ = std::move(*cgroups);
  auto cgroup_ticket = ledger_->record(LedgerKind::kCgroup, config_.cgroup_parent, 0);
  if (!cgroup_ticket) co_return std::unexpected(cgroup_ticket.error());
  cgroup_ticket_ = std::move(*cgroup_ticket);
  auto place = [this](pid_t pid) { return cgroups_->attach_service(pid); };

  sandbox::KeeperOptions keeper_options;
  keeper_options.program = helpers + "sock-init";
  keeper_options.id_base = config_.ids.base;
  keeper_options.id_count = config_.ids.count;
  keeper_options.place = place;
  keeper_options.root.store = packages_->store_folder();
  for (const auto& packages : config_.packages.folders) {
    keeper_options.root.binds.push_back(packages.string());
  }
  auto keeper = co_await sandbox::Keeper::start(std::move(keeper_options));
  if (!keeper) co_return std::unexpected(keeper.error());
  keeper_ = std::move(*keeper);
  auto keeper_ticket = ledger_->record(LedgerKind::kHelper, "sock-init", keeper_->pid());
  if (!keeper_ticket) co_return std::unexpected(keeper_ticket.error());
  keeper_ticket_ = std::move(*keeper_ticket);

  Networks::Ground ground{.helper = helpers + "sock-netns",
                          .user_namespace = keeper_->pidfd(),
                          .place = place,
                          .sandboxes = [this] { return cgroups_->slots_dir(); }};
  auto networks = co_await Networks::start(config_, std::move(ground));
  if (!networks) co_return std::unexpected(networks.error());
  networks_ = std::move(*networks);

  slots_ = std::make_unique<SlotStock>(executor_,
                                       SlotStockOptions{.stock = config_.parked.shells,
                                                        .limits = config_.default_limits.sandbox,
                                                        .nat = networks_->nat()},
                                       networks_->none(), *keeper_, *cgroups_, cgroup_worker_,
                                       uids_, *ledger_);
  co_return Result<>{};
}

asio::awaitable<Result<>> Daemon::build_zygotes() {
  auto folder = program_folder();
  if (!folder) co_return std::unexpected(folder.error());
  auto filter = sandbox::compile_seccomp_policy();
  if (!filter) co_return std::unexpected(filter.error());
  parked_budget_ = std::make_shared<StockBudget>(config_.parked.memory_bytes);
  ZygoteTreeOptions options;
  ZygoteNurseryOptions& nursery = options.nursery;
  nursery.root.program = *folder + "/sock-zygote";
  nursery.root.keeper = keeper_->pidfd();
  nursery.root.config.filter = std::move(*filter);
  nursery.root.config.seal = config_.zygotes.seal;
  nursery.root.place = [this](pid_t pid) { return cgroups_->attach_service(pid); };
  const CloneStockOptions stock{config_.parked.min, config_.parked.max, parked_budget_,
                                std::make_shared<StockGate>(has_idle_cpu)};
  nursery.stock = stock;
  nursery.import_timeout = config_.zygotes.import_timeout;
  nursery.replicas = config_.zygotes.replicas;
  options.worth = [this](std::span<const pkgcache::Package> set) { return packages_->worth(set); };
  options.rotation.clones = config_.zygotes.rotate_clones;
  options.rotation.age = std::chrono::minutes(config_.zygotes.rotate_minutes);
  zygotes_ = std::make_unique<ZygoteTree>(executor_, background_, std::move(options),
                                          packages_->library(), *slots_, memory_worker_, *ledger_);
  using Base = FunctionZygotes::Base;
  auto choose = [this](const std::vector<pkgcache::Package>& packages) -> Result<Base> {
    auto choice = zygotes_->choose(packages);
    if (!choice) return std::unexpected(choice.error());
    auto recipe = choice->node->zygotes->recipe();
    if (!recipe) return std::unexpected(recipe.error());
    return Base{std::move(*recipe), choice->node->packages()};
  };
  auto any = [choose]() -> Result<CloneRecipe> {
    auto base = choose({});
    if (!base) return std::unexpected(base.error());
    return std::move(base->recipe);
  };
  code_ = std::make_unique<CodeCache>(executor_, background_, *slots_, any);
  auto jobs = JobRunner::create(config_.state_dir / "jobs", *slots_, any);
  if (!jobs) co_return std::unexpected(jobs.error());
  jobs_ = std::move(*jobs);
  functions_ = std::make_unique<FunctionZygotes>(
      executor_, background_,
      FunctionZygoteOptions{.automatic = config_.zygotes.functions,
                            .most = config_.zygotes.max_functions,
                            .all_bytes = config_.zygotes.function_memory,
                            .stock = stock},
      *slots_, memory_worker_, *code_, packages_->paths(),
      [choose](const Function& function) { return choose(function.spec.packages); });
  co_return co_await zygotes_->start();
}

asio::awaitable<void> Daemon::shutdown(Clock::time_point deadline) {
  draining_ = true;
  if (admission_) {
    const bool drained = co_await admission_->drain(deadline);
    if (!drained) {
      spdlog::warn("{} calls did not finish in time and are killed", dispatcher_->running());
      dispatcher_->cancel_all();
      const bool killed = co_await admission_->drain(Clock::now() + Millis(2000));
      if (!killed) spdlog::error("some calls could not be ended");
    }
  }
  // Replies go out before sandboxes are taken apart; wait for the last of those too.
  const auto settle_by = Clock::now() + kSettleTimeout;
  while (dispatcher_ && dispatcher_->settling() > 0 && Clock::now() < settle_by) {
    ticker_.expires_after(Millis(5));
    auto ignored = co_await ticker_.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  ticker_.cancel();
  if (packages_) packages_->stop();
  if (gardener_) gardener_->stop();
  if (jobs_) jobs_->stop();
  // They need sandboxes to be taken apart, and what those are made of.
  const bool returned = co_await errands_.wait(Clock::now() + kErrandTimeout);
  if (!returned) spdlog::error("an installation does not end");
  if (functions_) functions_->stop();
  if (zygotes_) zygotes_->stop();
  if (slots_) co_await slots_->stop();
  if (networks_) co_await networks_->stop();
  if (keeper_) {
    const bool gone = co_await keeper_->stop(Clock::now() + Millis(5000));
    if (!gone) spdlog::error("sock-init does not die");
    keeper_ticket_.reset();
  }
  // Whatever it waits for has died with the keeper.
  const bool ended = co_await background_.wait(Clock::now() + kBackgroundTimeout);
  if (!ended) spdlog::error("work in the background does not end");
  if (cgroups_) {
    auto remove = [this] { return cgroups_.reset(), true; };
    co_await cgroup_worker_.run(remove);
  }
  cgroup_ticket_.reset();
  stats_segment_.reset();
}

asio::awaitable<Error> Daemon::failure() {
  auto ended = co_await await_exit(keeper_->pidfd(), Clock::time_point::max());
  if (ended && !draining_) {
    co_return Error{Code::kInternal, "keeper", 0, "sock-init died, and all sandboxes with it"};
  }
  // Going down anyway: never completes.
  asio::steady_timer never(executor_, Clock::time_point::max());
  auto ignored = co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)ignored;
  co_return Error{};
}

asio::awaitable<void> Daemon::tick() {
  for (unsigned count = 1; !draining_; ++count) {
    ticker_.expires_after(kTick);
    auto [error] = co_await ticker_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (error || draining_) co_return;
    if (count % kTicksPerCollect == 0) packages_->tick();
    gardener_->tick();
    zygotes_->tick();
    functions_->tick();
    slots_->tick();
    networks_->tick();
    publish_stats();
  }
}

void Daemon::functions_changed() {
  auto functions = registry_->list();
  packages_->adopt(functions);
  gardener_->adopt(std::move(functions));
}

void Daemon::settled(const CallRecord& record) {
  metrics_.record(record);
  gardener_->note_call(record);
  const auto code = record.error ? std::optional(record.error->code) : std::nullopt;
  stats_.count(record.function, code, record.start, record.total_us);
  publish_stats();
  if (record.error && record.error->code == Code::kRejected) metrics_.rejected("busy");
  history_.record(record);
}

asio::awaitable<CallRecord> Daemon::invoke(std::string id, std::string function,
                                           std::string event) {
  auto found = registry_->find(function);
  if (!found) {
    CallRecord record;
    record.id = std::move(id);
    record.function = function;
    record.error = CallError{
        Code::kNotFound, "Sandbox.NotFound", "there is no function \"" + function + "\"", {}};
    record.settled = true;
    co_return record;
  }
  auto record = co_await dispatcher_->invoke(std::move(found), std::move(id), std::move(event));
  // Known from the reply on; the complete record replaces it when the sandbox is accounted.
  if (!record.settled) {
    CallRecord begun = record;
    begun.result.clear();
    history_.record(std::move(begun));
  }
  co_return record;
}

void Daemon::cancel(const std::string& id) { dispatcher_->cancel(id); }

asio::awaitable<Result<CallRecord>> Daemon::call(std::string id) {
  co_return co_await history_.wait_settled(std::move(id), kSettleTimeout);
}

Result<std::vector<std::string>> Daemon::recent_calls(const std::string& function) {
  if (!registry_->find(function)) {
    return fail(Code::kNotFound, "", "there is no function \"" + function + "\"");
  }
  return history_.recent(function);
}

asio::awaitable<Result<Function>> Daemon::deploy(DeployRequest request) {
  if (draining_) co_return fail(Code::kDraining, "deploy", "sockd is stopping");
  const Background::Hold at_work(errands_);
  auto deployed = co_await deployer_->deploy(std::move(request));
  if (!deployed) co_return std::unexpected(deployed.error());
  const Function& function = **deployed;
  spdlog::info("deployed {} generation {}: {} packages, {} bytes", function.spec.name,
               function.generation, function.spec.packages.size(), function.code_bytes);
  functions_changed();
  co_return function;
}

asio::awaitable<Result<>> Daemon::remove(std::string name) {
  if (draining_) co_return fail(Code::kDraining, "remove", "sockd is stopping");
  const Background::Hold at_work(errands_);
  auto erase = [this, &name] { return registry_->remove(name); };
  auto removed = co_await disk_worker_.run(erase);
  if (!removed) co_return removed;
  deployer_->removed(name);
  spdlog::info("removed {}", name);
  code_->forget(name);
  functions_changed();
  co_return Result<>{};
}

Result<Function> Daemon::describe(const std::string& name) {
  auto found = registry_->find(name);
  if (!found) return fail(Code::kNotFound, "", "there is no function \"" + name + "\"");
  return *found;
}

std::vector<Function> Daemon::list() {
  std::vector<Function> functions;
  for (const auto& function : registry_->list()) functions.push_back(*function);
  return functions;
}

json::object Daemon::zygotes() {
  const auto uses = gardener_->view();
  json::object view = view_zygotes(*zygotes_, *functions_, uses);
  view["parked_bytes"] = parked_budget_->used();
  view["parked_limit"] = parked_budget_->limit();
  return view;
}

json::object Daemon::netns() { return networks_->view(); }

json::object Daemon::packages() { return packages_->view(); }

asio::awaitable<Result<>> Daemon::warm(std::vector<std::string> set) {
  if (draining_) co_return fail(Code::kDraining, "warm", "sockd is stopping");
  const Background::Hold at_work(errands_);
  co_return co_await packages_->warm(std::move(set));
}

asio::awaitable<Result<>> Daemon::cool(std::vector<std::string> set) {
  if (draining_) co_return fail(Code::kDraining, "cool", "sockd is stopping");
  const Background::Hold at_work(errands_);
  co_return co_await packages_->cool(std::move(set));
}

json::object Daemon::doctor() { return doctor_report(config_); }

json::object Daemon::health() {
  return json::object{{"status", draining_ ? "draining" : "ok"},
                      {"version", SOCK_VERSION},
                      {"functions", registry_->list().size()},
                      {"running", admission_->running()},
                      {"queued", admission_->queued()},
                      {"uptime_s", micros_between(started_, Clock::now()) / 1'000'000},
                      {"cgroup_layout", sandbox::to_string(cgroups_->layout())},
                      {"stats_segment", stats_path().string()}};
}

std::string Daemon::metrics() {
  update_gauges();
  return metrics_.text();
}

std::filesystem::path Daemon::stats_path() const { return config_.socket.string() + ".stats"; }

void Daemon::publish_stats() {
  stats_.running = dispatcher_->running();
  stats_.queued = admission_->queued();
  stats_.zygotes = zygotes_->nodes().size();
  stats_.parked = zygotes_->parked() + functions_->parked();
  stats_.netns_ready = networks_->none().ready();
  stats_.shells = slots_->ready();
  stats_segment_->update(stats_);
}

void Daemon::update_gauges() {
  metrics_.set_sandboxes(
      {zygotes_->parked() + functions_->parked(), dispatcher_->running(), slots_->dying()});
  metrics_.set_queue_depth(admission_->queued());
  std::vector<Metrics::Zygote> zygotes;
  for (const auto& [id, node] : zygotes_->nodes()) {
    for (const auto& each : processes_of(*node)) {
      zygotes.push_back({node->packages(), each->memory_bytes().value_or(0)});
    }
  }
  metrics_.set_zygotes(zygotes);
  networks_->publish(metrics_);
}

}  // namespace sock::manager
