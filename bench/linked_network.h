#pragma once

#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "bench/user_namespace.h"
#include "netns-pool/nat_network.h"
#include "netns-pool/netns.h"

namespace sock::bench {

/// The network of class `nat`, in the calling thread's network namespace, which must forward.
class LinkedNetwork {
 public:
  [[nodiscard]] static Result<LinkedNetwork> start(const UserNamespace& users);
  LinkedNetwork(LinkedNetwork&&) = default;
  ~LinkedNetwork();

  /// Links a namespace and keeps it until release().
  [[nodiscard]] Result<> attach(netns::Netns netns);
  /// The same of one that was made by a process of the user namespace, with its rtnetlink socket.
  [[nodiscard]] Result<> attach(Fd netns, Fd route);

  /// Takes all of them off the network and lets go of them; returns when it did the latter.
  [[nodiscard]] Result<Clock::time_point> release();

 private:
  struct Linked {
    netns::Netns netns;
    netns::Tenant tenant;
  };

  LinkedNetwork(std::unique_ptr<netns::NatNetwork> network, netns::NamespaceId owner)
      : network_(std::move(network)), owner_(owner) {}

  std::unique_ptr<netns::NatNetwork> network_;
  netns::NamespaceId owner_;
  std::shared_ptr<netns::LiveNamespaces> live_ = std::make_shared<netns::LiveNamespaces>();
  std::vector<Linked> linked_;
};

}  // namespace sock::bench
