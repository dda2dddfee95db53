#include "netns-pool/nat_network.h"

#include "netns-pool/forwarding.h"
#include "netns-pool/resolvers.h"
#include "netns-pool/sandbox_link.h"

namespace sock::netns {
namespace {

Result<> check_forwarding(const NatOptions& options) {
  auto on = check_forwarding_ipv4();
  if (on && options.ipv6) on = check_forwarding_ipv6();
  return on;
}

}  // namespace

NatNetwork::NatNetwork(InstanceName name, AddressPlan plan, Rtnetlink host, Bridge bridge,
                       Firewall firewall, std::optional<Conntrack> conntrack, SlotPool slots)
    : name_(std::move(name)),
      plan_(std::move(plan)),
      host_(std::move(host)),
      bridge_(std::move(bridge)),
      firewall_(std::move(firewall)),
      conntrack_(std::move(conntrack)),
      slots_(std::move(slots)),
      admitted_(plan_.slots(), false) {}

Result<std::unique_ptr<NatNetwork>> NatNetwork::start(const NatOptions& options) {
  auto plan = AddressPlan::create(options.ipv4, options.ipv6);
  if (!plan) return std::unexpected(plan.error());
  for (const auto& resolver : options.resolvers) {
    if (auto fine = check_resolver(resolver, *plan); !fine) return std::unexpected(fine.error());
  }
  if (auto on = check_forwarding(options); !on) return std::unexpected(on.error());
  if (auto removed = remove(options.name); !removed) return std::unexpected(removed.error());
  auto host = Rtnetlink::open();
  if (!host) return std::unexpected(host.error());
  // First, so that there is never a bridge without it.
  auto firewall =
      Firewall::install(options.name, *plan, options.most_connections, options.resolvers);
  if (!firewall) return std::unexpected(firewall.error());
  auto bridge = Bridge::create(*host, options.name, *plan);
  if (!bridge) {
    (void)remove(options.name);
    return std::unexpected(bridge.error());
  }
  auto conntrack = Conntrack::open();
  return std::unique_ptr<NatNetwork>(new NatNetwork(
      options.name, *plan, std::move(*host), std::move(*bridge), std::move(*firewall),
      conntrack ? std::optional(std::move(*conntrack)) : std::nullopt,
      SlotPool(plan->slots(), options.quarantine)));
}

Result<> NatNetwork::remove(const InstanceName& name) {
  auto host = Rtnetlink::open();
  if (!host) return std::unexpected(host.error());
  auto nftables = Nftables::open();
  if (!nftables) return std::unexpected(nftables.error());
  // Last, so that there is never a bridge without it.
  auto unlinked = remove_links(*host, name);
  if (!unlinked) return unlinked;
  return Firewall::remove(*nftables, name);
}

Result<Tenant> NatNetwork::plug(int netns, Rtnetlink& inside) {
  auto slot = slots_.take(Clock::now());
  if (!slot) return std::unexpected(slot.error());
  const Tenant tenant{*slot, plan_.sandbox(slot->number)};
  auto plugged =
      SandboxLink::plug(host_, inside, netns, bridge_, name_.port(slot->number), tenant.end);
  if (!plugged) {
    slots_.give_back(*slot, Clock::now());
    return std::unexpected(plugged.error());
  }
  return tenant;
}

void NatNetwork::end_turn(Tenant& tenant) {
  if (conntrack_ && past_.size() < kMostPast) past_.push_back(tenant);
  slots_.renew(tenant.slot);
}

bool NatNetwork::tidy() {
  if (past_.empty() || !conntrack_) return false;
  const Tenant tenant = past_.front();
  past_.pop_front();
  if (!conntrack_->forget(tenant.end.ipv4, tenant.slot.turn))
    conntrack_.reset();  // an older kernel
  return true;
}

std::vector<Result<>> NatNetwork::apply(std::span<const Change> changes) {
  std::vector<Result<>> results(changes.size());
  std::vector<Firewall::Change> needed;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [tenant, egress] = changes[i];
    const bool admitted = admitted_[tenant->slot.number];
    if (egress != nullptr && admitted) {
      results[i] = fail(Code::kInvalid, "admit sandbox to the network",
                        tenant->end.ipv4.to_string() + " is admitted already");
    } else if (egress != nullptr || admitted) {
      needed.push_back({*tenant, egress});
      indices.push_back(i);
    }
  }
  auto done = firewall_.apply(needed);
  for (std::size_t k = 0; k < done.size(); ++k) {
    const auto& [tenant, egress] = changes[indices[k]];
    if (done[k]) {
      admitted_[tenant->slot.number] = egress != nullptr;
      if (egress == nullptr) end_turn(*tenant);
    }
    results[indices[k]] = std::move(done[k]);
  }
  return results;
}

Result<> NatNetwork::admit(Tenant& tenant, const Egress& egress) {
  const Change change{&tenant, &egress};
  return std::move(apply({&change, 1}).front());
}

Result<> NatNetwork::dismiss(Tenant& tenant) {
  const Change change{&tenant, nullptr};
  return std::move(apply({&change, 1}).front());
}

Result<> NatNetwork::unplug(Tenant& tenant, Fate fate) {
  auto dismissed = dismiss(tenant);
  const bool cut = fate == Fate::kKept || !dismissed;
  const auto port = name_.port(tenant.slot.number);
  auto unplugged = cut ? SandboxLink::unplug(host_, bridge_, port, tenant.end)
                       : SandboxLink::forget(host_, bridge_, tenant.end);
  if (!dismissed) return dismissed;
  if (!unplugged) return unplugged;
  slots_.give_back(tenant.slot, Clock::now());
  return {};
}

}  // namespace sock::netns
