#pragma once

#include <boost/asio/ip/address.hpp>
#include <span>
#include <vector>

#include "base/error.h"
#include "netns-pool/nftables.h"
#include "netns-pool/ruleset.h"

namespace sock::netns {

/// The packet filter and address translation of an instance, in sockd's own network namespace:
/// two nftables tables, "bridge" and "inet", both of the instance's name; deleting them takes
/// everything with it. Nothing passes a port that was not admitted.
///
/// A packet from a sandbox leaves the machine, with the host's address, if
/// - it has the address and MAC address of its port;
/// - it is not for the host, another sandbox, a link-local or multicast address or a metadata
///   service, which nothing can allow;
/// - and it is for a resolver, for a public address, where the sandbox may have the internet, or
/// for
///   an address that the sandbox's own list allows.
/// Only answers come back. Refused packets are answered: TCP by a reset, the rest by
/// "administratively prohibited", which programs see as EHOSTUNREACH or, with IPv6, EACCES.
///
/// Other tables of the host may drop what these accept (Docker and firewalld do, by default).
///
/// Not thread safe (Nftables). A transaction takes about 0.4 ms, 2 ms with a thousand sandboxes,
/// and hardly more for many changes than for one.
class Firewall {
 public:
  static constexpr unsigned kMostConnections = 512;

  /// Installs the tables in the calling thread's network namespace, in place of what an instance
  /// of that name left behind.
  [[nodiscard]] static Result<Firewall> install(
      const InstanceName& name, const AddressPlan& plan,
      unsigned most_connections = kMostConnections,
      std::span<const boost::asio::ip::address> resolvers = {});

  /// What is to become of a sandbox.
  struct Change {
    Tenant tenant;
    const Egress* egress = nullptr;  ///< admit() with this; null: dismiss()
  };

  /// Several changes, of a sandbox each, in one transaction; one by one if that fails, so that each
  /// result is its own.
  [[nodiscard]] std::vector<Result<>> apply(std::span<const Change> changes);

  /// kInvalid when `egress` contradicts itself or is too long.
  [[nodiscard]] Result<> admit(const Tenant& tenant, const Egress& egress);

  /// Of one that was admitted. Its established connections end here, too.
  [[nodiscard]] Result<> dismiss(const Tenant& tenant);

  /// Deletes the tables of the instance, whoever made them; none is fine.
  [[nodiscard]] static Result<> remove(Nftables& nftables, const InstanceName& name);

 private:
  Firewall(Nftables nftables, InstanceName name, unsigned most_connections)
      : nftables_(std::move(nftables)),
        name_(std::move(name)),
        most_connections_(most_connections) {}

  [[nodiscard]] Result<> run(std::span<const Tenant* const> leaving,
                             std::span<const Admission> coming);

  Nftables nftables_;
  InstanceName name_;
  unsigned most_connections_;
};

}  // namespace sock::netns
