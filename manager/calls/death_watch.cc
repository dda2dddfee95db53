#include "manager/calls/death_watch.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

/// Most sandboxes are dead at the second look: at the first the clone is reaped, without which the
/// kernel does not end its pid 1. Longer pauses find more of them dead at a time.
constexpr Micros kUsualPause{2'000};
/// Of a look that may find nothing, against what it delays an answer by.
constexpr Micros kHastyPause{200};
/// Between looks at what is slow to die.
constexpr Micros kLongestPause{100'000};

}  // namespace

struct DeathWatch::Dying {
  Process clone;
  int init;
  Haste haste;
  Clock::time_point deadline;
  asio::steady_timer told;  ///< cancelled when `death` is known
  Death death = {};
  bool given_up = false;  ///< nobody waits any more; the clone is still to be reaped
};

DeathWatch::DeathWatch(asio::any_io_executor executor, Millis timeout)
    : executor_(std::move(executor)), timeout_(timeout), next_look_(executor_) {}

DeathWatch::~DeathWatch() {
  // The destructor of a process waits for its end; these have had their time.
  for (const auto& each : dying_) const Fd abandoned = each->clone.release();
}

asio::awaitable<Death> DeathWatch::wait(Process clone, int init, Haste haste) {
  const std::shared_ptr<Dying> dying(
      new Dying{std::move(clone), init, haste, Clock::now() + timeout_,
                asio::steady_timer(executor_, Clock::time_point::max())});
  dying_.push_back(dying);
  pause_ = shortest_pause();
  // Who dies with its call unanswered was killed before, or died by itself.
  look_within(haste == Haste::kCallerWaits ? Micros(0) : kUsualPause);
  auto ignored = co_await dying->told.async_wait(asio::as_tuple(asio::use_awaitable));
  (void)ignored;
  co_return dying->death;
}

void DeathWatch::look_within(Micros pause) {
  const auto at = Clock::now() + pause;
  if (look_set_ && next_look_.expiry() <= at) return;
  look_set_ = true;
  next_look_.expires_at(at);
  next_look_.async_wait([this](boost::system::error_code error) {
    if (!error) look();
  });
}

void DeathWatch::look() {
  look_set_ = false;
  const bool news = see_ends();
  tell(Clock::now());
  if (dying_.empty()) return;
  pause_ = news ? shortest_pause() : std::min(2 * pause_, kLongestPause);
  look_within(pause_);
}

bool DeathWatch::see_ends() {
  // pid 1 ends only after everything else in its pid namespace is reaped (pid_namespaces(7)).
  std::vector<pollfd> awaited;
  awaited.reserve(dying_.size());
  for (const auto& each : dying_) {
    awaited.push_back({each->clone.valid() ? each->clone.pidfd() : each->init, POLLIN, 0});
  }
  if (::poll(awaited.data(), awaited.size(), 0) <= 0) return false;
  bool any = false;
  for (std::size_t i = 0; i < awaited.size(); ++i) {
    Dying& dying = *dying_[i];
    if (awaited[i].revents == 0) continue;
    if (dying.clone.valid()) {
      // A traced process has ended before its parent can reap it.
      dying.death.exit = dying.clone.try_reap();
      any = any || !dying.clone.valid();
    } else {
      any = dying.death.complete = true;
    }
  }
  return any;
}

void DeathWatch::tell(Clock::time_point now) {
  for (const auto& each : dying_) {
    if (each->given_up || (!each->death.complete && now < each->deadline)) continue;
    each->given_up = !each->death.complete;
    each->told.cancel();
  }
  std::erase_if(dying_, [](const std::shared_ptr<Dying>& each) {
    return !each->clone.valid() && (each->death.complete || each->given_up);
  });
}

Micros DeathWatch::shortest_pause() const {
  const bool hasty = std::ranges::any_of(dying_, [](const std::shared_ptr<Dying>& each) {
    return each->haste == Haste::kCallerWaits && !each->given_up;
  });
  return hasty ? kHastyPause : kUsualPause;
}

}  // namespace sock::manager
