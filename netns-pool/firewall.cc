#include "netns-pool/firewall.h"

namespace sock::netns {

Result<Firewall> Firewall::install(const InstanceName& name, const AddressPlan& plan,
                                   unsigned most_connections) {
  auto nftables = Nftables::open();
  if (!nftables) return std::unexpected(nftables.error());
  auto installed =
      nftables->run(rules_to_remove(name) + rules_of_instance(name, plan), "install firewall");
  if (!installed) return std::unexpected(installed.error());
  return Firewall(std::move(*nftables), name, most_connections);
}

Result<> Firewall::admit(const Tenant& tenant, const Egress& egress) {
  auto rules = rules_to_admit(name_, tenant, egress, most_connections_);
  if (!rules) return std::unexpected(rules.error());
  return nftables_.run(*rules, "admit sandbox to the network");
}

Result<> Firewall::dismiss(const Tenant& tenant) {
  return nftables_.run(rules_to_dismiss(name_, tenant), "dismiss sandbox from the network");
}

Result<> Firewall::remove(Nftables& nftables, const InstanceName& name) {
  return nftables.run(rules_to_remove(name), "remove firewall");
}

}  // namespace sock::netns
