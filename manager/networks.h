#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "manager/calls/per_network.h"
#include "manager/calls/slot_stock.h"
#include "manager/metrics.h"
#include "manager/settings/config.h"
#include "netns-pool/netns_pool.h"
#include "netns-pool/uplinks.h"

namespace sock::manager {

/// The networks that sandboxes are in: a pool of namespaces for each class, and the way out of
/// those of the class nat. On the event loop; not thread safe.
class Networks {
 public:
  /// What namespaces are made with.
  struct Ground {
    std::string helper;                     ///< path of sock-netns
    int user_namespace = -1;                ///< pidfd of a process in the sandboxes'; borrowed
    std::function<Result<>(pid_t)> place;   ///< puts a helper into its cgroup
    std::function<Result<Fd>()> sandboxes;  ///< the cgroup v2 directory of all sandboxes
  };

  /// Removes what an instance on the same state directory left behind, then builds what the
  /// configuration asks for, up to pools filled to their low marks.
  [[nodiscard]] static boost::asio::awaitable<Result<std::unique_ptr<Networks>>> start(
      const Config& config, Ground ground);

  [[nodiscard]] netns::NetnsPool& none() { return *pools_[Network::kNone]; }
  /// Nothing when the configuration has no [nat].
  [[nodiscard]] std::optional<NatAccess> nat();

  /// To be called once a second.
  void tick();

  /// GET /v1/netns.
  [[nodiscard]] boost::json::object view() const;
  void publish(Metrics& metrics) const;

  /// Gives everything back. What sandboxes hold of it must have been given back before.
  [[nodiscard]] boost::asio::awaitable<void> stop();

 private:
  Networks() = default;

  [[nodiscard]] static boost::asio::awaitable<Result<>> build(Networks& networks,
                                                              const Config& config, Ground ground);
  [[nodiscard]] boost::asio::awaitable<Result<>> build_nat(const Config& config,
                                                           netns::PoolOptions common);
  [[nodiscard]] boost::asio::awaitable<Result<>> remove_leftovers(const Config& config);

  std::shared_ptr<netns::Uplinks> uplinks_;  ///< null without nat
  std::string resolv_conf_;
  PerNetwork<std::unique_ptr<netns::NetnsPool>> pools_;  ///< null: not offered
};

/// The name of everything that the instance on a state directory owns in its host's network:
/// derived from the directory's path, so that its successor finds it again.
[[nodiscard]] netns::InstanceName network_name(const std::filesystem::path& state_dir);

}  // namespace sock::manager
