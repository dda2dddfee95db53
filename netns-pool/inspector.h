#pragma once

#include <cstdint>
#include <set>
#include <span>

#include "base/error.h"
#include "base/fd.h"
#include "netns-pool/inventory.h"
#include "netns-pool/setting_inventory.h"

namespace sock::netns {

/// Looks into one network namespace, to prove that nothing of its use is left in it. It has sockets
/// there of its own, which stay open: the kernel goes on counting a netlink socket for some
/// milliseconds after its close, and a count of sockets must be exact. Four to six descriptors. It
/// keeps the namespace alive. Not thread safe, but any thread may use it. Move only.
///
/// Every call enters the namespace with the CALLING THREAD (setns(2)) and brings it back, or aborts
/// the process: a thread that cannot leave a sandbox's namespace must do nothing more. So call on a
/// worker that may be in another network for a moment.
///
/// To be asked when the last process inside is dead. Sandboxes can change little of what is looked
/// at: they have no capability, and seccomp leaves them the families AF_UNIX, AF_INET, AF_INET6.
/// Not listed, because nothing but CAP_NET_ADMIN's netlink reaches it and nothing but rules, which
/// are listed, makes it act: IP sets, queued tc actions, limits of MPTCP, SEG6 secrets, ids of
/// other namespaces; and BPF programs, for which it takes the host's CAP_BPF. Never clean again are
/// the statistics of links and protocols (/proc/net/dev, snmp, netstat), which no one can reset.
class Inspector {
 public:
  /// `known` are the other sockets that the caller has in the namespace, all of them; borrowed, and
  /// to be kept open as long as this lives.
  [[nodiscard]] static Result<Inspector> open(int netns, std::span<const int> known = {});

  /// About a millisecond. When no socket is left but some that the kernel is about to free, or that
  /// await the last answer of a closed connection, waits up to 50 ms for them to go; for an
  /// IPv6 address that the kernel has yet to put to use, up to half a second. kInvalid when
  /// a known socket is closed.
  [[nodiscard]] Result<Inventory> take();

  /// Has the kernel forget whom the namespace has talked to by TCP (round-trip times, cookies), and
  /// the connections that a packet filter in it tracks. Both are left by honest use.
  [[nodiscard]] Result<> forget_peers();

 private:
  Inspector() = default;
  [[nodiscard]] Result<> open_sockets(std::span<const int> known);
  [[nodiscard]] Result<> add_known(int socket);
  /// Opens what the kernel offers by now.
  [[nodiscard]] Result<> open_optional();
  [[nodiscard]] Result<> add_sockets(Inventory& inventory);
  [[nodiscard]] Result<> add_configuration(Inventory& inventory);

  Fd netns_;
  Fd diag_;
  Fd route_;
  Fd generic_;
  Fd netfilter_;  // where the kernel has it
  Fd ipsec_;      // where the kernel has it
  SettingReader settings_;
  std::set<std::uint64_t> known_;  // inodes of our own sockets and of the caller's
};

}  // namespace sock::netns
