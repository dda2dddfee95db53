#include "netns-pool/uplinks.h"

#include <fcntl.h>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>
#include <utility>
#include <vector>

#include "netns-pool/uplink_queue.h"

namespace sock::netns {

namespace asio = boost::asio;

namespace {

/// Of changes in one transaction: if it fails, so many are tried one by one.
constexpr std::size_t kMostTogether = 64;

using Kind = UplinkJob::Kind;

/// Waits until the job is done; the coroutine goes on on its own executor.
asio::awaitable<Result<>> submit(std::shared_ptr<UplinkQueue> queue, UplinkJob job) {
  Result<> result;
  auto initiate = [&queue, &job, &result](auto handler) {
    job.done = [&result, handler = std::move(handler)](Result<> outcome) mutable {
      result = std::move(outcome);
      const auto executor = asio::get_associated_executor(handler);
      asio::post(executor, std::move(handler));
    };
    // From here on the coroutine may go on, and end, at any time.
    const auto kept = std::move(queue);
    kept->push(std::move(job));
  };
  co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(initiate,
                                                                       asio::use_awaitable);
  co_return result;
}

asio::awaitable<Result<>> refuse(const char* step, std::string why) {
  co_return fail(Code::kInvalid, step, std::move(why));
}

std::string name_of(const Netns& netns) { return "net:[" + std::to_string(netns.inode()) + "]"; }

}  // namespace

/// The worker's side.
class Uplinks::Attendant {
 public:
  Attendant(InstanceName name, std::shared_ptr<UplinkQueue> queue)
      : name_(std::move(name)), queue_(std::move(queue)) {}

  Result<> start(const NatOptions& options) {
    auto nat = NatNetwork::start(options);
    if (!nat) return std::unexpected(nat.error());
    nat_ = std::move(*nat);
    return {};
  }

  Result<> stop() {
    if (!nat_) return {};
    nat_.reset();
    return NatNetwork::remove(name_);
  }

  /// Until there is nothing to do, and nothing to tidy up.
  void work() {
    for (;;) {
      auto next = queue_->take(kMostTogether);
      if (next.none()) {
        if (nat_ && nat_->tidy()) continue;
        return;
      }
      if (!next.changes.empty()) change(next.changes);
      if (next.plug) next.plug->done(plug(*next.plug->port));
    }
  }

 private:
  Result<> plug(UplinkPort& port) {
    constexpr const char* kStep = "plug sandbox into the network";
    if (port.released) return fail(Code::kInvalid, kStep, "the namespace is gone");
    if (port.plugged || !port.inside) return fail(Code::kInvalid, kStep, "it is plugged already");
    auto tenant = nat_->plug(port.netns.get(), *port.inside);
    if (!tenant) return std::unexpected(tenant.error());
    port.tenant = *tenant;
    // Two descriptors that nobody needs any more, and that keep the namespace alive.
    port.inside.reset();
    port.netns.reset();
    port.plugged.store(true, std::memory_order_release);
    return {};
  }

  void change(std::vector<UplinkJob>& jobs) {
    std::vector<UplinkJob*> sound;
    std::vector<NatNetwork::Change> changes;
    for (auto& job : jobs) {
      const bool release = job.kind == Kind::kRelease;
      // Whoever asked may have let go of the namespace before the question got here.
      if (job.port->plugged && !job.port->released) {
        sound.push_back(&job);
        changes.push_back({&job.port->tenant, job.kind == Kind::kAdmit ? &job.egress : nullptr});
      } else if (!release) {
        job.done(fail(Code::kInvalid, "change what may pass", "the namespace is not plugged"));
      }
      job.port->released = job.port->released || release;
    }
    auto results = nat_->apply(changes);
    for (std::size_t i = 0; i < sound.size(); ++i) {
      auto& job = *sound[i];
      if (job.kind == Kind::kRelease) {
        results[i] = nat_->unplug(job.port->tenant, NatNetwork::Fate::kDestroyed);
      }
      job.done(std::move(results[i]));
    }
  }

  InstanceName name_;
  std::shared_ptr<UplinkQueue> queue_;
  std::unique_ptr<NatNetwork> nat_;
};

Uplinks::Uplinks(InstanceName name)
    : queue_(std::make_shared<UplinkQueue>(
          [this] { worker_.post([attendant = attendant_] { attendant->work(); }); })),
      attendant_(std::make_shared<Attendant>(std::move(name), queue_)) {}

asio::awaitable<Result<std::shared_ptr<Uplinks>>> Uplinks::start(NatOptions options) {
  std::shared_ptr<Uplinks> uplinks(new Uplinks(options.name));
  auto started = co_await uplinks->worker_.run([&] { return uplinks->attendant_->start(options); });
  if (!started) co_return std::unexpected(started.error());
  co_return uplinks;
}

asio::awaitable<Result<>> Uplinks::remove(InstanceName name) {
  Worker worker;
  co_return co_await worker.run([&] { return NatNetwork::remove(name); });
}

Uplinks::~Uplinks() {
  queue_->close();
  worker_.post([attendant = attendant_] { (void)attendant->stop(); });
  worker_.join();
}

asio::awaitable<Result<>> Uplinks::plug(Netns& netns) {
  constexpr const char* kStep = "plug sandbox into the network";
  if (netns.uplink().port() == nullptr) {
    if (netns.route() == nullptr) {
      return refuse(kStep, name_of(netns) + " came without an rtnetlink socket");
    }
    auto port = std::make_shared<UplinkPort>();
    port->netns = Fd(::fcntl(netns.fd(), F_DUPFD_CLOEXEC, 3));
    if (!port->netns) return refuse(kStep, name_of(netns) + ": no descriptor is free");
    port->inside = netns.release_route();
    netns.uplink() = Uplink(queue_, std::move(port));
  }
  return change(Kind::kPlug, netns, {});
}

asio::awaitable<Result<>> Uplinks::admit(Netns& netns, Egress egress) {
  return change(Kind::kAdmit, netns, std::move(egress));
}

asio::awaitable<Result<>> Uplinks::dismiss(Netns& netns) {
  return change(Kind::kDismiss, netns, {});
}

asio::awaitable<Result<>> Uplinks::change(Kind kind, Netns& netns, Egress egress) {
  const auto& uplink = netns.uplink();
  if (uplink.queue() != queue_) {
    return refuse("change what may pass", name_of(netns) + " has no uplink of this network");
  }
  return submit(queue_, UplinkJob{kind, uplink.port(), std::move(egress), {}});
}

asio::awaitable<Result<>> Uplinks::stop() {
  queue_->close();
  Attendant* const attendant = attendant_.get();
  co_return co_await worker_.run([attendant] { return attendant->stop(); });
}

}  // namespace sock::netns
