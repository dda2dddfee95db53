#include "netns-pool/firewall.h"

namespace sock::netns {

Result<Firewall> Firewall::install(const InstanceName& name, const AddressPlan& plan,
                                   unsigned most_connections,
                                   std::span<const boost::asio::ip::address> resolvers) {
  auto nftables = Nftables::open();
  if (!nftables) return std::unexpected(nftables.error());
  auto installed = nftables->run(rules_to_remove(name) + rules_of_instance(name, plan, resolvers),
                                 "install firewall");
  if (!installed) return std::unexpected(installed.error());
  return Firewall(std::move(*nftables), name, most_connections);
}

Result<std::string> Firewall::rules_for(const Change& change) const {
  if (change.egress == nullptr) return rules_to_dismiss(name_, change.tenant);
  return rules_to_admit(name_, change.tenant, *change.egress, most_connections_);
}

std::vector<Result<>> Firewall::apply(std::span<const Change> changes) {
  std::vector<Result<>> results(changes.size());
  std::vector<std::string> rules(changes.size());
  std::vector<std::size_t> sound;
  std::string all;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto text = rules_for(changes[i]);
    if (!text) {
      results[i] = std::unexpected(text.error());
      continue;
    }
    all += *text;
    rules[i] = std::move(*text);
    sound.push_back(i);
  }
  const auto step = [&](std::size_t i) {
    return changes[i].egress == nullptr ? "dismiss sandbox from the network"
                                        : "admit sandbox to the network";
  };
  if (sound.empty()) return results;
  const auto together = nftables_.run(all, step(sound.front()));
  if (together) return results;
  for (const auto i : sound) {
    results[i] = sound.size() == 1 ? together : nftables_.run(rules[i], step(i));
  }
  return results;
}

Result<> Firewall::admit(const Tenant& tenant, const Egress& egress) {
  const Change change{tenant, &egress};
  return std::move(apply({&change, 1}).front());
}

Result<> Firewall::dismiss(const Tenant& tenant) {
  const Change change{tenant, nullptr};
  return std::move(apply({&change, 1}).front());
}

Result<> Firewall::remove(Nftables& nftables, const InstanceName& name) {
  return nftables.run(rules_to_remove(name), "remove firewall");
}

}  // namespace sock::netns
