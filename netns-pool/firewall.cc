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

Result<> Firewall::run(std::span<const Tenant* const> leaving, std::span<const Admission> coming) {
  return nftables_.run(
      rules_to_dismiss(name_, leaving) + rules_to_admit(name_, coming),
      coming.empty() ? "dismiss sandbox from the network" : "admit sandbox to the network");
}

std::vector<Result<>> Firewall::apply(std::span<const Change> changes) {
  std::vector<Result<>> results(changes.size());
  std::vector<std::string> rules(changes.size());
  std::vector<const Tenant*> leaving;
  std::vector<Admission> coming;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [tenant, egress] = changes[i];
    if (egress == nullptr) {
      leaving.push_back(&tenant);
    } else if (auto text = rules_for(*egress, most_connections_)) {
      rules[i] = std::move(*text);
      coming.push_back({&tenant, &rules[i]});
    } else {
      results[i] = std::unexpected(text.error());
    }
  }
  if (leaving.empty() && coming.empty()) return results;
  const auto together = run(leaving, coming);
  if (together) return results;
  const bool alone = leaving.size() + coming.size() == 1;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (!results[i]) continue;
    if (alone) {
      results[i] = together;
    } else if (const Tenant* tenant = &changes[i].tenant; changes[i].egress == nullptr) {
      results[i] = run({&tenant, 1}, {});
    } else {
      const Admission one{tenant, &rules[i]};
      results[i] = run({}, {&one, 1});
    }
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
