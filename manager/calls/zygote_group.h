#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "manager/calls/clone.h"
#include "manager/calls/zygote_load.h"
#include "manager/state/ledger.h"
#include "zygote/zygote.h"

namespace sock::manager {

/// How many replicas there may be of all zygotes together: each can keep one CPU busy.
struct ReplicaLimit {
  unsigned max = 0;
  unsigned used = 0;
};

/// What all groups share; outlives them.
struct ZygoteGroupParts {
  SlotStock& slots;
  Ledger& ledger;
  std::shared_ptr<ReplicaLimit> replicas;
  Millis fork_timeout{60'000};
};

/// The processes behind one node of the tree: a zygote, and while that cannot clone fast enough
/// exact replicas of it, which share its memory. A zygote serves one request at a time, so on a
/// machine with many CPUs a busy one is what everybody waits for.
///
/// One that dies or fails to clone is dropped; the group lives as long as one is left. Its
/// processes die when the last request at work on them has ended. On the event loop; not thread
/// safe.
class ZygoteGroup : public std::enable_shared_from_this<ZygoteGroup> {
 public:
  /// `on_dead` hears that none is left, once, unless the group was closed.
  ZygoteGroup(boost::asio::any_io_executor executor, ZygoteGroupParts parts, std::string name,
              std::function<void(const ZygoteGroup&, const Error&)> on_dead);
  ~ZygoteGroup();

  /// The first one, and what its clones and those of its replicas populate; to be called once.
  void start(CloneRecipe recipe);

  /// A clone from the least busy process into a slot of that class, as make_clone(). Tries another
  /// process, if there is, when one turns out to be broken; that there is no slot is no process's
  /// fault. `owner` is whom it is for, where that is known already (SlotStock::take); it must
  /// outlive the call.
  [[nodiscard]] boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make(
      Network network, const Function* owner = nullptr);

  /// The oldest process, which is never retired; null when none is left.
  [[nodiscard]] std::shared_ptr<zygote::Zygote> zygote() const;
  [[nodiscard]] std::vector<std::shared_ptr<zygote::Zygote>> all() const;

  /// How to clone from the oldest process; an error when none is left. What is derived from its
  /// very memory, such as a function's image, suits its clones only: a replica has run on since.
  [[nodiscard]] Result<CloneRecipe> recipe() const;

  /// Retires a replica after a quiet while. To be called about once a second.
  void tick();

  /// No more clones or replicas; what is at work ends in its own time.
  void close();

 private:
  struct Member;

  [[nodiscard]] std::shared_ptr<Member> least_busy() const;
  void add(std::shared_ptr<zygote::Zygote> zygote, bool replica);
  void drop(const std::shared_ptr<Member>& member, const Error& error);
  void watch_load();
  [[nodiscard]] boost::asio::awaitable<void> add_replica();
  [[nodiscard]] boost::asio::awaitable<void> watch(std::weak_ptr<Member> member, Fd pidfd);

  boost::asio::any_io_executor executor_;
  ZygoteGroupParts parts_;
  std::string name_;
  std::function<void(const ZygoteGroup&, const Error&)> on_dead_;
  std::vector<std::shared_ptr<Member>> members_;
  std::shared_ptr<const Fd> touches_;
  ZygoteLoad load_;
  Clock::time_point replicate_after_{};  ///< backs off after a failure
  bool replicating_ = false;
  bool closed_ = false;
};

}  // namespace sock::manager
