#include "pkgcache/adapt/demand_sketch.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace sock::pkgcache {

namespace {

using Seconds = std::chrono::duration<double>;

/// A pause counts for no more than this part of a half-life: a quiet night tells nothing about who
/// is popular.
constexpr double kLongestPause = 1.0 / 64;
/// Part of a half-life that calls are taken to have come in at first: one call is no rate.
constexpr double kLeastAge = 1.0 / 20;
/// Half-life of the weight of a call among the latest, in calls.
constexpr double kLatestCalls = 128;
/// Calls of which the latest must have more to speak against the past.
constexpr double kLatestDoubt = 16;
/// Calls that a change can be told from. Older ones are part of the past.
constexpr std::size_t kMostSurprising = 512;
/// Growing weights are brought down before they lose precision.
constexpr double kLargestUnit = 1e100;

}  // namespace

DemandSketch::DemandSketch(const SketchOptions& options) : options_(options) {
  options_.capacity = std::max<std::size_t>(1, options_.capacity);
}

DemandSketch::Noted DemandSketch::note(SetId set, Clock::time_point now) {
  advance(now);
  const auto found = index_.find(set);
  surprise_ += surprise_of(found == index_.end() ? nullptr : &slots_[found->second]);
  if (surprise_ <= 0) {
    surprise_ = 0;
    surprising_.clear();
  }
  Noted noted;
  add(slot_for(set, noted));
  if (surprise_ > 0) {
    if (surprising_.size() == kMostSurprising) {
      surprising_.erase(surprising_.begin(), surprising_.begin() + kMostSurprising / 2);
    }
    surprising_.push_back(set);
  }
  if (surprise_ >= options_.surprise) {
    discount_past();
    noted.moved = true;
  }
  if (unit_ > kLargestUnit || latest_unit_ > kLargestUnit) rescale();
  return noted;
}

void DemandSketch::forget(SetId set) {
  const auto found = index_.find(set);
  if (found == index_.end()) return;
  const std::size_t at = found->second;
  index_.erase(found);
  total_ = std::max(0.0, total_ - slots_[at].weight);
  latest_total_ = std::max(0.0, latest_total_ - slots_[at].latest);

  const std::size_t place = slots_[at].place;
  const std::size_t moved = heap_.back();
  heap_[place] = moved;
  slots_[moved].place = place;
  heap_.pop_back();
  if (place < heap_.size()) {
    sift_up(place);
    sift_down(slots_[moved].place);
  }
  if (at + 1 != slots_.size()) {
    slots_[at] = slots_.back();
    heap_[slots_[at].place] = at;
    index_[slots_[at].set] = at;
  }
  slots_.pop_back();
}

double DemandSketch::weight(SetId set) const {
  const auto found = index_.find(set);
  if (found == index_.end()) return 0;
  const Slot& slot = slots_[found->second];
  return (slot.weight - slot.excess) / unit_;
}

double DemandSketch::rate(Clock::time_point now) const {
  if (!started_) return 0;
  const double half_life = options_.half_life.count();
  const double calls = calls_ * std::exp2(-Seconds(now - last_).count() / half_life);
  // Less than a half-life old, it has not seen all that would be remembered.
  const double age = std::max(kLeastAge * half_life, Seconds(now - started_at_).count());
  return calls * std::numbers::ln2 / half_life / -std::expm1(-age / half_life * std::numbers::ln2);
}

void DemandSketch::advance(Clock::time_point now) {
  if (!started_) {
    started_ = true;
    started_at_ = last_ = now;
  }
  const double half_lives = Seconds(now - last_) / options_.half_life;
  calls_ = calls_ * std::exp2(-half_lives) + 1;
  unit_ *= std::exp2(std::min(half_lives, kLongestPause));
  static const double growth = std::exp2(1 / kLatestCalls);
  latest_unit_ *= growth;
  last_ = now;
}

double DemandSketch::surprise_of(const Slot* slot) const {
  // Logarithm of how much likelier the call is by the latest calls than by all: a test by
  // cumulative sums, which a call that comes from the past exceeds with probability e^-surprise.
  const double all = slot == nullptr ? 0 : (slot->weight - slot->excess) / unit_;
  const double latest = slot == nullptr ? 0 : slot->latest / latest_unit_;
  const double new_one = 1 / static_cast<double>(slots_.size() + 1);
  const double by_all = (all + new_one) / (total_ / unit_ + 1);
  const double by_latest =
      (latest + kLatestDoubt * by_all) / (latest_total_ / latest_unit_ + kLatestDoubt);
  return std::log(by_latest / by_all);
}

DemandSketch::Slot& DemandSketch::slot_for(SetId set, Noted& noted) {
  const auto found = index_.find(set);
  if (found != index_.end()) return slots_[found->second];
  if (slots_.size() < options_.capacity) {
    slots_.push_back({set, 0, 0, 0, heap_.size()});
    heap_.push_back(slots_.size() - 1);
    index_.emplace(set, slots_.size() - 1);
    sift_up(heap_.size() - 1);
    return slots_.back();
  }
  Slot& slot = slots_[heap_.front()];
  noted.forgotten = slot.set;
  index_.erase(slot.set);
  index_.emplace(set, heap_.front());
  slot.set = set;
  slot.excess = slot.weight;
  slot.latest = 0;
  return slot;
}

void DemandSketch::add(Slot& slot) {
  slot.weight += unit_;
  total_ += unit_;
  slot.latest += latest_unit_;
  latest_total_ += latest_unit_;
  sift_down(slot.place);
}

void DemandSketch::discount_past() {
  const double kept = std::min(1.0, options_.past * unit_ / total_);
  total_ *= kept;
  latest_total_ = 0;
  for (Slot& slot : slots_) {
    slot.weight *= kept;
    slot.excess *= kept;
    slot.latest = 0;
  }
  for (const SetId set : std::exchange(surprising_, {})) {
    const auto found = index_.find(set);
    if (found != index_.end()) add(slots_[found->second]);
  }
  surprise_ = 0;
}

void DemandSketch::rescale() {
  for (Slot& slot : slots_) {
    slot.weight /= unit_;
    slot.excess /= unit_;
    slot.latest /= latest_unit_;
  }
  total_ /= unit_;
  latest_total_ /= latest_unit_;
  unit_ = latest_unit_ = 1;
}

void DemandSketch::sift_up(std::size_t place) {
  while (place > 0) {
    const std::size_t above = (place - 1) / 2;
    if (slots_[heap_[above]].weight <= slots_[heap_[place]].weight) return;
    std::swap(heap_[above], heap_[place]);
    slots_[heap_[above]].place = above;
    slots_[heap_[place]].place = place;
    place = above;
  }
}

void DemandSketch::sift_down(std::size_t place) {
  for (;;) {
    std::size_t least = place;
    for (std::size_t below = 2 * place + 1; below <= 2 * place + 2 && below < heap_.size();
         ++below) {
      if (slots_[heap_[below]].weight < slots_[heap_[least]].weight) least = below;
    }
    if (least == place) return;
    std::swap(heap_[least], heap_[place]);
    slots_[heap_[least]].place = least;
    slots_[heap_[place]].place = place;
    place = least;
  }
}

}  // namespace sock::pkgcache
