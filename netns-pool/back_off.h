#pragma once

#include <algorithm>

#include "base/clock.h"

namespace sock::netns {

/// How long to leave a failing thing alone: kFirst, doubled by every failure in a row until it is
/// `longest`.
class BackOff {
 public:
  static constexpr Millis kFirst{10};
  static constexpr Millis kLongest{1000};

  explicit BackOff(Millis longest = kLongest) : longest_(longest) {}

  void failed() {
    const auto now = Clock::now();
    if (now < until_) return;  // the rest of a batch that is failing already
    pause_ = std::clamp(pause_ * 2, kFirst, longest_);
    until_ = now + pause_;
  }
  void succeeded() { pause_ = Millis{0}; }
  [[nodiscard]] Clock::time_point until() const { return until_; }
  [[nodiscard]] bool over() const { return Clock::now() >= until_; }

 private:
  Millis longest_;
  Millis pause_{0};
  Clock::time_point until_{};
};

}  // namespace sock::netns
