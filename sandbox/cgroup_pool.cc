#include "sandbox/cgroup_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "sandbox/cgroup_tree.h"

namespace sock::sandbox {
namespace {

constexpr std::string_view kService = "service";
constexpr std::string_view kSlots = "slots";
constexpr Millis kDestroyWait{5'000};
constexpr Millis kGiveBackWait{100};
/// Slots that refuse to empty are looked at in small portions, so that no call pays for all.
constexpr std::size_t kRetriesPerCall = 8;
/// Removing a slot takes the kernel some 100 µs, and the next take() may have to wait for it.
constexpr std::size_t kTrimmedPerCall = 8;

}  // namespace

CgroupPool::CgroupPool(Options options, std::shared_ptr<CgroupTree> tree)
    : options_(std::move(options)), tree_(std::move(tree)) {}

Result<std::unique_ptr<CgroupPool>> CgroupPool::create(const Options& options) {
  auto tree = CgroupTree::open(options.mount_root, options.parent);
  if (!tree) return std::unexpected(tree.error());
  std::unique_ptr<CgroupPool> pool(new CgroupPool(options, std::move(*tree)));
  if (auto built = pool->build(); !built) return std::unexpected(built.error());
  return pool;
}

Result<> CgroupPool::build() {
  if (auto done = tree_->make_parent(); !done) return done;
  if (auto done = tree_->enable_controllers(""); !done) return done;
  for (const auto group : {kService, kSlots}) {
    auto done = tree_->make(group);
    if (!done && done.error().code == Code::kConflict) {
      return fail(Code::kConflict, "make cgroup",
                  tree_->path(group) +
                      " exists: another instance uses this cgroup parent, or a "
                      "dead one's groups were not reclaimed");
    }
    if (!done) return done;
    made_.emplace_back(group);
  }
  if (auto done = tree_->enable_controllers(kSlots); !done) return done;
  if (tree_->v2() >= 0 && options_.delegate_uid != 0) {
    // Cloning into another group takes write access at the common ancestor too (cgroup-v2.rst,
    // "Delegation Containment").
    const std::string procs = tree_->path("", "cgroup.procs");
    if (::fchownat(tree_->v2(), procs.c_str(), options_.delegate_uid, static_cast<gid_t>(-1), 0) <
        0) {
      return fail_errno("delegate cgroup", procs);
    }
  }
  return {};
}

CgroupPool::~CgroupPool() {
  // All slots go together below: one kill and one wait instead of one each.
  tree_->closed = true;
  const auto deadline = Clock::now() + kDestroyWait;
  for (const auto& group : made_) (void)tree_->destroy(group, deadline);
  (void)tree_->remove_parent();
}

CgroupLayout CgroupPool::layout() const { return tree_->layout(); }

Result<Fd> CgroupPool::slots_dir() const {
  if (tree_->v2() < 0) return fail(Code::kNotFound, "find cgroups", "there is no cgroup v2");
  return open_fd(tree_->v2(), tree_->path(kSlots), O_RDONLY | O_DIRECTORY);
}

Result<> CgroupPool::attach_service(pid_t pid) {
  CgroupTree::Doors doors;
  return tree_->attach(kService, doors, pid, false);
}

Result<Cgroup> CgroupPool::take(const Limits& limits) {
  if (auto valid = Cgroup::check(limits); !valid) return std::unexpected(valid.error());
  retry_stuck();
  const auto lease = [this](Cgroup& slot) {
    slot.leased_ = true;
    ++tree_->leased;
  };
  while (!pooled_.empty()) {
    auto chosen = std::ranges::find_if(
        pooled_, [&](const Cgroup& slot) { return slot.has_in_force(limits); });
    if (chosen == pooled_.end()) --chosen;
    Cgroup slot = std::move(*chosen);
    if (chosen != pooled_.end() - 1) *chosen = std::move(pooled_.back());
    pooled_.pop_back();
    fewest_ = std::min(fewest_, pooled_.size());
    // It was empty when it was pooled; whoever may clone into it could have done so since.
    const auto entered = slot.entered();
    if (!entered || *entered) {
      slot.kill();
      lease(slot);
      stuck_.push_back(std::move(slot));
      continue;
    }
    // v1 cannot lower the memory limit below what is charged and cannot be reclaimed: such a slot
    // is dropped for a new one.
    if (!slot.set_limits(limits)) break;
    lease(slot);
    return slot;
  }
  auto slot = Cgroup::make(tree_, std::string(kSlots) + "/" + std::to_string(created_),
                           options_.delegate_uid);
  if (!slot) return slot;
  ++created_;
  if (auto done = slot->set_limits(limits); !done) return std::unexpected(done.error());
  lease(*slot);
  return slot;
}

CgroupUsage CgroupPool::give_back(Cgroup slot) {
  retry_stuck();
  if (slot.tree_ != tree_) return {};
  bool vacant = slot.vacant().value_or(false);
  if (!vacant) {
    (void)tree_->drain(slot.name_, Clock::now() + kGiveBackWait);
    slot.in_force_.pids.reset();  // draining may have stopped forks with pids.max
    vacant = slot.vacant().value_or(false);
  }
  // Nobody is inside, so these are the last of this lease and the first of the next one.
  const auto counters = slot.counters();
  const CgroupUsage usage = counters ? slot.used_until(*counters) : CgroupUsage{};
  if (vacant) {
    settle(std::move(slot), counters);
  } else {
    stuck_.push_back(std::move(slot));
  }
  return usage;
}

void CgroupPool::settle(Cgroup slot, const Result<Cgroup::Counters>& counters) {
  const auto reset = counters ? slot.begin_anew(*counters) : std::unexpected(counters.error());
  if (!reset || !*reset) return;
  if (std::exchange(slot.leased_, false)) --tree_->leased;
  pooled_.push_back(std::move(slot));
}

void CgroupPool::retry_stuck() {
  auto waiting = std::exchange(stuck_, {});
  std::size_t tries = 0;
  for (auto& slot : waiting) {
    const bool look = tries++ < kRetriesPerCall;
    if (look && slot.vacant().value_or(false)) {
      const auto counters = slot.counters();
      settle(std::move(slot), counters);
      continue;
    }
    if (look) slot.kill();
    stuck_.push_back(std::move(slot));
  }
  // The next call begins with those not looked at this time.
  if (stuck_.size() > kRetriesPerCall) {
    std::ranges::rotate(stuck_, stuck_.begin() + kRetriesPerCall);
  }
}

std::size_t CgroupPool::trim(Clock::time_point now) {
  if (now - period_began_ >= kIdlePeriod) {
    surplus_ = fewest_;
    fewest_ = pooled_.size();
    period_began_ = now;
  }
  std::size_t removed = 0;
  // One that was needed since the surplus was counted is none any more.
  while (removed < kTrimmedPerCall && std::min(surplus_, fewest_) > kReserve) {
    pooled_.pop_back();
    --surplus_;
    --fewest_;
    ++removed;
  }
  return removed;
}

CgroupPool::Stats CgroupPool::stats() const {
  return {.pooled = pooled_.size(), .leased = tree_->leased, .created = created_};
}

Result<std::size_t> CgroupPool::reclaim(const Options& options) {
  auto tree = CgroupTree::open(options.mount_root, options.parent);
  if (!tree) return std::unexpected(tree.error());
  return (*tree)->destroy("", Clock::now() + kDestroyWait);
}

}  // namespace sock::sandbox
