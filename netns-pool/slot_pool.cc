#include "netns-pool/slot_pool.h"

#include <string>

namespace sock::netns {

SlotPool::SlotPool(std::uint16_t size, Millis quarantine)
    : quarantine_(quarantine), turns_(size, 0) {
  for (std::uint16_t number = 0; number < size; ++number) {
    free_.push_back({number, Clock::time_point::min()});
  }
}

Result<Slot> SlotPool::take(Clock::time_point now) {
  constexpr const char* kStep = "take an address";
  if (taken() >= kMostTaken) {
    return fail(Code::kRejected, kStep,
                "all " + std::to_string(kMostTaken) + " ports that a bridge can have are in use");
  }
  if (free_.empty() || free_.front().from > now) {
    return fail(Code::kRejected, kStep,
                "of " + std::to_string(turns_.size()) + ", " + std::to_string(taken()) +
                    " are in use, and no other is free to be used again yet");
  }
  const std::uint16_t number = free_.front().number;
  free_.pop_front();
  return Slot{number, next_turn(number)};
}

void SlotPool::renew(Slot& slot) { slot.turn = next_turn(slot.number); }

std::uint16_t SlotPool::next_turn(std::uint16_t number) {
  auto& turn = turns_[number];
  turn = turn == UINT16_MAX ? std::uint16_t{1} : static_cast<std::uint16_t>(turn + 1);
  return turn;
}

void SlotPool::give_back(Slot slot, Clock::time_point now) {
  free_.push_back({slot.number, now + quarantine_});
}

}  // namespace sock::netns
