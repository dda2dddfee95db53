#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"

namespace sock::pkgcache {

/// A set of packages, as a number that its owner chose.
using SetId = std::uint64_t;

struct SketchOptions {
  std::size_t capacity = 4096;  ///< sets remembered; at least 1
  /// Of the weight of a call. Above 0.
  std::chrono::duration<double> half_life{600};
  /// How unlikely, as a natural logarithm, the latest calls must be under what is remembered before
  /// that is taken for outdated. While demand does not change, it is thought to have changed less
  /// often than once in e^surprise calls.
  double surprise = 20;
  /// Calls that the outdated past counts for beside the calls since.
  double past = 24;
};

/// How often sets are called, older calls counting less, in bounded memory: when it is full, a new
/// set takes the place of the one called least (Space-Saving: Metwally et al., 2005), so that a set
/// with more than one in `capacity` of the weight stays whatever else comes and goes.
///
/// The past fades in two ways: by half-lives, of which a pause counts no more than a 64th; and at
/// once, when the latest calls could hardly have come from it. Not thread safe.
class DemandSketch {
 public:
  explicit DemandSketch(const SketchOptions& options = {});

  struct Noted {
    std::optional<SetId> forgotten;  ///< whose place the set has taken
    bool moved = false;              ///< demand has changed abruptly; the past was discounted
  };
  /// A call at `now`, which must not go backwards. Amortised constant time but for a heap of
  /// `capacity`.
  Noted note(SetId set, Clock::time_point now);

  void forget(SetId set);

  /// What the set's calls weigh, at least: a call just noted weighs 1.
  [[nodiscard]] double weight(SetId set) const;
  /// Of all calls, also of sets forgotten to make room.
  [[nodiscard]] double total_weight() const { return total_ / unit_; }
  /// Calls a second, of all sets.
  [[nodiscard]] double rate(Clock::time_point now) const;

  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  /// Calls `visit(set, weight)` for each, in no order that means anything.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) visit(slot.set, (slot.weight - slot.excess) / unit_);
  }

 private:
  /// Weights grow with time instead of fading (Cormode et al., "Forward Decay", 2009): a call adds
  /// unit_, and what was before is worth less beside it. So the order of slots never changes but
  /// by their own calls.
  struct Slot {
    SetId set = 0;
    double weight = 0;
    double excess = 0;  ///< at most so much of the weight is another set's
    double latest = 0;  ///< the same over the latest calls only
    std::size_t place = 0;
  };

  void advance(Clock::time_point now);
  [[nodiscard]] double surprise_of(const Slot* slot) const;
  Slot& slot_for(SetId set, Noted& noted);
  void add(Slot& slot);
  void discount_past();
  void rescale();
  void sift_up(std::size_t place);
  void sift_down(std::size_t place);

  SketchOptions options_;
  std::vector<Slot> slots_;
  std::unordered_map<SetId, std::size_t> index_;  ///< into slots_
  std::vector<std::size_t> heap_;                 ///< of slots_, the lightest first

  double unit_ = 1;   ///< weight of a call now
  double total_ = 0;  ///< in the units of Slot::weight
  double latest_unit_ = 1;
  double latest_total_ = 0;
  double surprise_ = 0;
  std::vector<SetId> surprising_;  ///< calls since surprise_ was 0

  bool started_ = false;
  Clock::time_point started_at_;
  Clock::time_point last_;
  double calls_ = 0;  ///< decayed, as of last_
};

}  // namespace sock::pkgcache
