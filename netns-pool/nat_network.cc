#include "netns-pool/nat_network.h"

#include "netns-pool/forwarding.h"
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
                       Firewall firewall, SlotPool slots)
    : name_(std::move(name)),
      plan_(std::move(plan)),
      host_(std::move(host)),
      bridge_(std::move(bridge)),
      firewall_(std::move(firewall)),
      slots_(std::move(slots)) {}

Result<std::unique_ptr<NatNetwork>> NatNetwork::start(const NatOptions& options) {
  auto plan = AddressPlan::create(options.ipv4, options.ipv6);
  if (!plan) return std::unexpected(plan.error());
  if (auto on = check_forwarding(options); !on) return std::unexpected(on.error());
  if (auto removed = remove(options.name); !removed) return std::unexpected(removed.error());
  auto host = Rtnetlink::open();
  if (!host) return std::unexpected(host.error());
  // First, so that there is never a bridge without it.
  auto firewall = Firewall::install(options.name, *plan, options.most_connections);
  if (!firewall) return std::unexpected(firewall.error());
  auto bridge = Bridge::create(*host, options.name, *plan);
  if (!bridge) {
    (void)remove(options.name);
    return std::unexpected(bridge.error());
  }
  return std::unique_ptr<NatNetwork>(new NatNetwork(options.name, *plan, std::move(*host),
                                                    std::move(*bridge), std::move(*firewall),
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

Result<> NatNetwork::connect(Netns& netns, const Tenant& tenant, const Egress& egress) {
  if (auto admitted = firewall_.admit(tenant, egress); !admitted) return admitted;
  auto plugged = SandboxLink::plug(host_, *netns.route(), netns.fd(), bridge_,
                                   name_.port(tenant.slot.number), tenant.end);
  if (!plugged) (void)firewall_.dismiss(tenant);
  return plugged;
}

Result<Tenant> NatNetwork::attach(Netns& netns, const Egress& egress) {
  if (netns.route() == nullptr) {
    return fail(Code::kInvalid, "attach sandbox to the network",
                "net:[" + std::to_string(netns.inode()) + "] came without an rtnetlink socket");
  }
  auto slot = slots_.take(Clock::now());
  if (!slot) return std::unexpected(slot.error());
  const Tenant tenant{*slot, plan_.sandbox(slot->number)};
  if (auto connected = connect(netns, tenant, egress); !connected) {
    slots_.give_back(*slot, Clock::now());
    return std::unexpected(connected.error());
  }
  return tenant;
}

Result<> NatNetwork::detach(const Tenant& tenant, Fate fate) {
  auto dismissed = firewall_.dismiss(tenant);
  const auto port = name_.port(tenant.slot.number);
  auto unplugged = fate == Fate::kDestroyed ? SandboxLink::forget(host_, bridge_, tenant.end)
                                            : SandboxLink::unplug(host_, bridge_, port, tenant.end);
  if (!dismissed) return dismissed;
  if (!unplugged) return unplugged;
  slots_.give_back(tenant.slot, Clock::now());
  return {};
}

}  // namespace sock::netns
