#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/error.h"
#include "base/worker.h"
#include "netns-pool/egress.h"
#include "netns-pool/linker.h"
#include "netns-pool/nat_network.h"
#include "netns-pool/netns.h"
#include "netns-pool/uplink_queue.h"

namespace sock::netns {

/// NatNetwork for an event loop: links are made ahead of demand, opened and closed for each call,
/// and taken back when the namespace is destroyed, all on a worker thread. What is asked for while
/// the worker is busy is done together: closings and openings in one transaction each time, before
/// the next link.
///
/// Calls are for the thread of the event loop. They take what they need from the Netns when they
/// are called, so it may be moved or destroyed while one is awaited; and Uplinks may be stopped or
/// destroyed: what has not begun then answers kDraining. The io_context must outlive this. There is
/// one of it in a process (nftables.h).
class Uplinks final : public Linker {
 public:
  /// Removes what an instance of that name left behind, then builds its own in the calling thread's
  /// network namespace. Errors as of NatNetwork::start().
  [[nodiscard]] static boost::asio::awaitable<Result<std::shared_ptr<Uplinks>>> start(
      NatOptions options);

  /// Removes what an instance of that name left behind; none is fine. Not while an Uplinks exists.
  [[nodiscard]] static boost::asio::awaitable<Result<>> remove(InstanceName name);

  /// As stop(), but waits for it: up to a second with a thousand links.
  ~Uplinks() override;
  Uplinks(const Uplinks&) = delete;
  Uplinks& operator=(const Uplinks&) = delete;

  /// Gives a namespace its uplink, through which nothing passes yet. kInvalid when it has one
  /// already, or came without route(); kRejected when all ports or addresses are taken. May be
  /// tried again after a failure.
  [[nodiscard]] boost::asio::awaitable<Result<>> plug(Netns& netns) override;

  /// What may pass from now on. kInvalid when `egress` contradicts itself or is too long, or the
  /// namespace is not plugged or is admitted already.
  [[nodiscard]] boost::asio::awaitable<Result<>> admit(Netns& netns, Egress egress);

  /// Nothing passes any more, and connections are forgotten: the next admit() knows nothing of
  /// them. Fine when nothing was admitted. kInvalid when it is not plugged. After a failure the
  /// namespace must be destroyed.
  [[nodiscard]] boost::asio::awaitable<Result<>> dismiss(Netns& netns) override;

  /// Removes bridge, ports and tables, and returns when nothing of them is left; namespaces that
  /// are plugged are without a network from then on. Further calls wait for the first.
  [[nodiscard]] boost::asio::awaitable<Result<>> stop();

 private:
  class Attendant;
  explicit Uplinks(InstanceName name);
  [[nodiscard]] boost::asio::awaitable<Result<>> change(UplinkJob::Kind kind, Netns& netns,
                                                        Egress egress);

  Worker worker_;
  std::shared_ptr<UplinkQueue> queue_;    // also of the namespaces' Uplink
  std::shared_ptr<Attendant> attendant_;  // used by the worker alone
};

}  // namespace sock::netns
