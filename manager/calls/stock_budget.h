#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"

namespace sock::manager {

/// The memory that all parked clones of all stocks may take together. When it is used up, a stock
/// gets room from the one with the least demand, which gives clones back, but never from another's
/// minimum. On the event loop; not thread safe. Must outlive its members.
class StockBudget {
 public:
  /// A stock, as the budget sees it.
  class Member {
   public:
    Member() = default;
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;
    virtual ~Member() = default;

    /// Calls a second.
    [[nodiscard]] virtual double demand(Clock::time_point now) const = 0;
    /// Whether it holds more than its minimum.
    [[nodiscard]] virtual bool can_spare() const = 0;
    /// Parts with one clone, and releases what that took before it returns.
    virtual void give_back() = 0;
  };

  explicit StockBudget(std::uint64_t limit) : limit_(limit) {}

  void join(Member& member) { members_.push_back(&member); }
  void leave(Member& member) { std::erase(members_, &member); }

  /// Room for one more clone of `asker`; release() it in the end. One that the minimum asks for
  /// takes it from every stock that can spare some, one beyond it only from those with clearly less
  /// demand. False when there is none: the total never passes the limit.
  [[nodiscard]] bool reserve(Member& asker, std::uint64_t bytes, bool for_minimum,
                             Clock::time_point now);
  void release(std::uint64_t bytes) { used_ -= bytes < used_ ? bytes : used_; }

  [[nodiscard]] std::uint64_t used() const { return used_; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }

 private:
  [[nodiscard]] Member* poorest(const Member& asker, bool for_minimum, Clock::time_point now) const;

  std::uint64_t limit_;
  std::uint64_t used_ = 0;
  std::vector<Member*> members_;
  bool warned_ = false;  ///< that the minimums do not fit; once until they do again
};

}  // namespace sock::manager
