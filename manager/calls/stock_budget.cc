#include "manager/calls/stock_budget.h"

#include <spdlog/spdlog.h>

namespace sock::manager {

namespace {

/// Two stocks about equally busy must not take the same clone's room from each other in turn.
constexpr double kClearly = 2;

}  // namespace

StockBudget::Member* StockBudget::poorest(const Member& asker, bool for_minimum,
                                          Clock::time_point now) const {
  Member* found = nullptr;
  double least = 0;
  for (Member* member : members_) {
    if (member == &asker || !member->can_spare()) continue;
    const double demand = member->demand(now);
    if (!for_minimum && demand * kClearly >= asker.demand(now)) continue;
    if (found != nullptr && demand >= least) continue;
    found = member;
    least = demand;
  }
  return found;
}

bool StockBudget::reserve(Member& asker, std::uint64_t bytes, bool for_minimum,
                          Clock::time_point now) {
  while (bytes <= limit_ && used_ > limit_ - bytes) {
    Member* const giver = poorest(asker, for_minimum, now);
    if (giver == nullptr) break;
    giver->give_back();
  }
  if (bytes > limit_ || used_ > limit_ - bytes) {
    if (for_minimum && !warned_) {
      spdlog::warn("[parked] memory is too small for the fewest clones that are to be kept parked");
      warned_ = true;
    }
    return false;
  }
  if (for_minimum) warned_ = false;
  used_ += bytes;
  return true;
}

}  // namespace sock::manager
