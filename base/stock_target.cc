#include "base/stock_target.h"

#include <algorithm>
#include <cmath>

namespace sock {

namespace {

/// Mean life of a call's weight in the rate.
constexpr double kRateSeconds = 2;
/// Clones take longer to make when many are made.
constexpr double kHeadroom = 2;
/// Calls this close together are one burst.
constexpr Millis kBurst{100};
/// Weight of the newest clone in the time it takes to make one.
constexpr double kSmoothing = 0.2;
constexpr Millis kHold{10'000};
constexpr Millis kStep{5'000};

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

double StockTarget::rate(Clock::time_point now) const {
  return rate_ * std::exp(-seconds(now - rate_at_) / kRateSeconds);
}

void StockTarget::taken(Clock::time_point now, bool hit, std::uint32_t times) {
  rate_ = rate(now) + times / kRateSeconds;
  rate_at_ = now;
  if (!hit) missed(now);
}

void StockTarget::missed(Clock::time_point now) {
  // Misses of one burst are one piece of news: each asks for one more, but only the first doubles.
  if (burst_misses_ == 0 || now - burst_at_ > kBurst) {
    burst_at_ = now;
    burst_from_ = level_;
    burst_misses_ = 0;
  }
  ++burst_misses_;
  const std::uint32_t more = std::max(burst_from_, burst_misses_);
  level_ = std::max(level_, std::min(most(), burst_from_ + more));
  next_step_ = now + kHold;
}

void StockTarget::made(Micros took) {
  make_seconds_ += kSmoothing * (seconds(took) - make_seconds_);
}

std::uint32_t StockTarget::needed(Clock::time_point now) const {
  const double calls = rate(now);
  const double meanwhile = calls * make_seconds_ * kHeadroom;
  const double burst = std::sqrt(calls * seconds(kBurst));
  const double both = std::min<double>(std::round(meanwhile + burst), most());
  return std::max(min_, static_cast<std::uint32_t>(both));
}

std::uint32_t StockTarget::wanted(Clock::time_point now) {
  const std::uint32_t need = needed(now);
  if (need >= level_) {
    level_ = need;
    next_step_ = now + kHold;
  }
  while (level_ > need && now >= next_step_) {
    level_ -= std::max<std::uint32_t>(1, (level_ - need) / 4);
    next_step_ += kStep;
  }
  return level_;
}

}  // namespace sock
