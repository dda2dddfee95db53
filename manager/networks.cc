#include "manager/networks.h"

#include <spdlog/spdlog.h>

#include <boost/json/array.hpp>

#include "base/fd.h"
#include "netns-pool/resolvers.h"
#include "netns-pool/use_watch.h"

namespace sock::manager {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

std::string_view to_string(netns::NetnsView::State state) {
  switch (state) {
    case netns::NetnsView::State::kBuilding:
      return "building";
    case netns::NetnsView::State::kReady:
      return "ready";
    case netns::NetnsView::State::kLeased:
      return "leased";
    case netns::NetnsView::State::kKept:
      return "kept";
  }
  return "";
}

/// "name@generation" without the generation.
std::string_view function_of(std::string_view owner) { return owner.substr(0, owner.find('@')); }

json::object view_of(std::string_view network, const netns::PoolStats& stats) {
  json::object burns;
  for (const auto& [reason, count] : stats.burns) burns[reason] = count;
  return {{"class", network},
          {"ready", stats.ready},
          {"kept", stats.kept},
          {"leased", stats.leased},
          {"target", stats.target},
          {"low", stats.low},
          {"high", stats.high},
          {"most", stats.most},
          {"leases", stats.leases},
          {"builds", stats.builds},
          {"misses", stats.misses},
          {"returned", stats.returned},
          {"burned", stats.burned},
          {"burns", std::move(burns)},
          {"destroyed", stats.destroyed},
          {"failures", stats.failures},
          {"full", stats.full},
          {"build_us_p50", stats.build_us_p50.value_or(0)},
          {"last_error", stats.last_error}};
}

void append_views(json::array& out, std::string_view network, const netns::NetnsPool& pool) {
  const auto now = Clock::now();
  for (const auto& view : pool.list()) {
    out.push_back(json::object{{"id", view.inode},
                               {"class", network},
                               {"state", to_string(view.state)},
                               {"age_s", micros_between(view.built, now) / 1'000'000},
                               {"leases", view.leases},
                               {"function", function_of(view.owner)},
                               {"address", view.address}});
  }
}

/// Null, and a warning, where the kernel offers no such thing.
std::shared_ptr<const netns::UseWatch> watch_use(const Networks::Ground& ground) {
  auto sandboxes = ground.sandboxes();
  auto watch =
      sandboxes ? netns::UseWatch::start(sandboxes->get()) : std::unexpected(sandboxes.error());
  if (watch) return std::move(*watch);
  spdlog::warn("every call gets a network namespace of its own, at some CPU: {}",
               watch.error().describe());
  return nullptr;
}

Result<netns::Resolvers> find_resolvers(const Config::Nat& nat) {
  const auto families = nat.ipv6 ? netns::Families::kBoth : netns::Families::kIpv4;
  if (!nat.resolvers.empty()) return netns::configured_resolvers(nat.resolvers, families);
  auto found = netns::host_resolvers(families);
  if (!found) return std::unexpected(found.error());
  for (const auto& problem : found->problems) spdlog::warn("resolvers: {}", problem);
  return std::move(found->resolvers);
}

/// FNV-1a: short, and the same in every build and release.
std::uint64_t hash(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) {
    value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return value;
}

}  // namespace

netns::InstanceName network_name(const std::filesystem::path& state_dir) {
  constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string name;
  auto rest = hash(state_dir.lexically_normal().string());
  for (int i = 0; i < 7; ++i, rest /= kDigits.size()) name += kDigits[rest % kDigits.size()];
  return *netns::InstanceName::parse(name);
}

asio::awaitable<Result<std::unique_ptr<Networks>>> Networks::start(const Config& config,
                                                                   Ground ground) {
  std::unique_ptr<Networks> networks(new Networks());
  auto built = co_await build(*networks, config, std::move(ground));
  if (built) co_return networks;
  co_await networks->stop();
  co_return std::unexpected(built.error());
}

asio::awaitable<Result<>> Networks::build(Networks& networks, const Config& config, Ground ground) {
  using Reuse = Config::Netns::Reuse;
  netns::PoolOptions options;
  options.low = config.netns.low;
  options.high = config.netns.high;
  options.builders = config.netns.builders;
  options.helper = ground.helper;
  options.user_namespace = ground.user_namespace;
  options.most = static_cast<std::uint32_t>(config.netns.memory_bytes / Config::Netns::kBytesEach);
  options.place_helper = ground.place;
  options.keep_for_owner = config.netns.reuse == Reuse::kFunction;
  if (config.netns.reuse != Reuse::kNever) options.watch = watch_use(ground);
  const netns::PoolOptions common = options;
  auto none = co_await netns::NetnsPool::start(std::move(options));
  if (!none) co_return std::unexpected(none.error());
  networks.pools_[Network::kNone] = std::move(*none);
  if (config.nat.ipv4) co_return co_await networks.build_nat(config, common);
  co_return co_await networks.remove_leftovers(config);
}

asio::awaitable<Result<>> Networks::remove_leftovers(const Config& config) {
  auto removed = co_await netns::Uplinks::remove(network_name(config.state_dir));
  // A kernel without nftables has nothing of ours either.
  if (!removed) spdlog::debug("leftovers of class nat: {}", removed.error().describe());
  co_return Result<>{};
}

asio::awaitable<Result<>> Networks::build_nat(const Config& config, netns::PoolOptions options) {
  const Config::Nat& nat = config.nat;
  if (!nat.ipv4) co_return fail(Code::kInvalid, "class nat", "[nat] ipv4 is missing");
  auto resolvers = find_resolvers(nat);
  if (!resolvers) co_return std::unexpected(resolvers.error());
  resolv_conf_ = netns::resolv_conf(*resolvers);
  netns::NatOptions uplinks{.name = network_name(config.state_dir),
                            .ipv4 = *nat.ipv4,
                            .ipv6 = nat.ipv6,
                            .most_connections = nat.connections,
                            .resolvers = resolvers->servers};
  auto started = co_await netns::Uplinks::start(std::move(uplinks));
  if (!started) co_return std::unexpected(started.error());
  uplinks_ = std::move(*started);
  options.low = nat.low;
  options.high = nat.high;
  options.builders = 1;  // making links is what takes longest, and that is for one thread
  options.furnish = netns::Furnish::kRoutable;
  options.linker = uplinks_;
  auto pool = co_await netns::NetnsPool::start(std::move(options));
  if (!pool) co_return std::unexpected(pool.error());
  pools_[Network::kNat] = std::move(*pool);
  co_return Result<>{};
}

std::optional<NatAccess> Networks::nat() {
  const auto& pool = pools_[Network::kNat];
  if (!pool) return std::nullopt;
  auto open = [uplinks = uplinks_](netns::Netns& netns, const netns::Egress& egress) {
    return uplinks->admit(netns, egress);
  };
  return NatAccess{.netns = *pool, .open = open, .resolv_conf = resolv_conf_};
}

void Networks::tick() {
  for (const auto& pool : pools_) {
    if (pool) pool->tick();
  }
}

json::object Networks::view() const {
  json::array classes;
  json::array namespaces;
  for (const auto network : kNetworks) {
    const auto& pool = pools_[network];
    if (!pool) continue;
    classes.push_back(view_of(to_string(network), pool->stats()));
    append_views(namespaces, to_string(network), *pool);
  }
  return {{"classes", std::move(classes)}, {"namespaces", std::move(namespaces)}};
}

void Networks::publish(Metrics& metrics) const {
  for (const auto network : kNetworks) {
    const auto& pool = pools_[network];
    if (pool) metrics.set_netns(to_string(network), pool->stats());
  }
}

asio::awaitable<void> Networks::stop() {
  for (const auto& pool : pools_) {
    if (pool) co_await pool->stop();
  }
  if (!uplinks_) co_return;
  auto stopped = co_await uplinks_->stop();
  if (!stopped) spdlog::error("class nat: {}", stopped.error().describe());
}

}  // namespace sock::manager
