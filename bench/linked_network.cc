#include "bench/linked_network.h"

namespace sock::bench {

Result<LinkedNetwork> LinkedNetwork::start(const UserNamespace& users) {
  auto owner = netns::user_namespace_of(users.pidfd());
  if (!owner) return std::unexpected(owner.error());
  auto name = netns::InstanceName::parse("bench");
  if (!name) return std::unexpected(name.error());
  netns::NatOptions options{*name, boost::asio::ip::make_network_v4("10.231.0.0/16"), std::nullopt};
  options.quarantine = Millis(0);  // nobody sends anything
  auto network = netns::NatNetwork::start(options);
  if (!network) return std::unexpected(network.error());
  return LinkedNetwork(std::move(*network), *owner);
}

LinkedNetwork::~LinkedNetwork() {
  if (!network_) return;
  (void)release();
  network_.reset();
  if (const auto name = netns::InstanceName::parse("bench")) {
    (void)netns::NatNetwork::remove(*name);
  }
}

Result<> LinkedNetwork::attach(netns::Netns netns) {
  auto tenant = network_->plug(netns.fd(), *netns.route());
  if (!tenant) return std::unexpected(tenant.error());
  auto admitted = network_->admit(*tenant, netns::Egress{});
  if (!admitted) return admitted;
  linked_.push_back({std::move(netns), *tenant});
  return {};
}

Result<> LinkedNetwork::attach(Fd netns, Fd route) {
  auto adopted = netns::Netns::adopt(std::move(netns), owner_, live_);
  if (!adopted) return std::unexpected(adopted.error());
  if (auto taken = adopted->take_route(std::move(route)); !taken) return taken;
  return attach(std::move(*adopted));
}

Result<Clock::time_point> LinkedNetwork::release() {
  Result<> done;
  for (auto& one : linked_) {
    auto unplugged = network_->unplug(one.tenant, netns::NatNetwork::Fate::kDestroyed);
    if (!unplugged) done = std::move(unplugged);
  }
  const auto now = Clock::now();
  linked_.clear();
  if (!done) return std::unexpected(done.error());
  return now;
}

}  // namespace sock::bench
