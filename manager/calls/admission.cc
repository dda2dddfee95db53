#include "manager/calls/admission.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <unordered_map>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

/// One call in the queue; it lives in the waiting coroutine.
struct Waiter {
  Waiter(const asio::any_io_executor& executor, std::string name)
      : timer(executor), function(std::move(name)) {}
  asio::steady_timer timer;
  std::string function;
  bool granted = false;  ///< the place is taken already: it cannot be lost to a later comer
  bool turned_away = false;
};

}  // namespace

struct Admission::State {
  State(const asio::any_io_executor& loop, Limits bounds) : limits(bounds), emptied(loop) {}

  [[nodiscard]] bool has_place(const std::string& function) const;
  void take(const std::string& function);
  void give_back(const std::string& function);
  /// Hands free places to the first in the queue who may have them.
  void advance();
  [[nodiscard]] std::unexpected<Error> busy() const;

  Limits limits;
  std::size_t running = 0;
  std::unordered_map<std::string, std::size_t> per_function;  ///< only with a limit on it
  std::list<Waiter*> queue;
  asio::steady_timer emptied;
  bool draining = false;
};

bool Admission::State::has_place(const std::string& function) const {
  if (running >= limits.running) return false;
  if (limits.running_per_function == 0) return true;
  const auto own = per_function.find(function);
  return own == per_function.end() || own->second < limits.running_per_function;
}

void Admission::State::take(const std::string& function) {
  ++running;
  if (limits.running_per_function != 0) ++per_function[function];
}

void Admission::State::give_back(const std::string& function) {
  --running;
  if (limits.running_per_function != 0) {
    const auto own = per_function.find(function);
    if (--own->second == 0) per_function.erase(own);
  }
  advance();
}

void Admission::State::advance() {
  for (auto next = queue.begin(); next != queue.end() && running < limits.running;) {
    Waiter& waiter = **next;
    if (!has_place(waiter.function)) {
      ++next;
      continue;
    }
    next = queue.erase(next);
    take(waiter.function);
    waiter.granted = true;
    waiter.timer.cancel();
  }
  if (running == 0 && queue.empty()) emptied.cancel();
}

std::unexpected<Error> Admission::State::busy() const {
  return fail(Code::kRejected, "",
              "busy: " + std::to_string(running) + " running, " + std::to_string(queue.size()) +
                  " queued; retry");
}

Admission::Permit::Permit(std::shared_ptr<State> state, std::string function)
    : state_(std::move(state)), function_(std::move(function)) {}

Admission::Permit& Admission::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  release();
  state_ = std::move(other.state_);
  function_ = std::move(other.function_);
  return *this;
}

Admission::Permit::~Permit() { release(); }

void Admission::Permit::release() {
  if (!state_) return;
  const auto state = std::move(state_);
  state->give_back(function_);
}

Admission::Admission(const asio::any_io_executor& executor, Limits limits)
    : state_(std::make_shared<State>(executor, limits)) {}

Admission::~Admission() = default;

namespace {

/// Takes a waiter out of the queue, also when its coroutine is destroyed instead of resumed.
template <class State>
struct Place {
  std::shared_ptr<State> state;
  Waiter& waiter;
  bool kept = false;

  Place(std::shared_ptr<State> of, Waiter& who) : state(std::move(of)), waiter(who) {
    state->queue.push_back(&waiter);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (kept) return;
    if (waiter.granted) {
      state->give_back(waiter.function);
    } else {
      state->queue.remove(&waiter);
      state->advance();
    }
  }
};

}  // namespace

asio::awaitable<Result<Admission::Permit>> Admission::enter(std::string function) {
  const auto state = state_;
  if (state->draining) co_return fail(Code::kDraining, "", "the daemon is shutting down");
  // Whoever queues while places are free waits for its own function's limit: no need to line up
  // behind it.
  if (state->has_place(function)) {
    state->take(function);
    co_return Permit(state, std::move(function));
  }
  if (state->queue.size() >= state->limits.queued) co_return state->busy();
  const auto executor = co_await asio::this_coro::executor;
  Waiter waiter(executor, std::move(function));
  Place place(state, waiter);
  waiter.timer.expires_after(state->limits.queue_timeout);
  auto [ignored] = co_await waiter.timer.async_wait(kAwait);
  (void)ignored;
  if (waiter.granted) {
    place.kept = true;
    co_return Permit(state, std::move(waiter.function));
  }
  if (waiter.turned_away) co_return fail(Code::kDraining, "", "the daemon is shutting down");
  co_return state->busy();
}

asio::awaitable<bool> Admission::drain(Clock::time_point deadline) {
  const auto state = state_;
  state->draining = true;
  if (state->running == 0 && state->queue.empty()) co_return true;
  state->emptied.expires_at(deadline);
  auto [ignored] = co_await state->emptied.async_wait(kAwait);
  (void)ignored;
  if (state->running == 0 && state->queue.empty()) co_return true;
  for (Waiter* waiter : state->queue) {
    waiter->turned_away = true;
    waiter->timer.cancel();
  }
  co_return false;
}

std::size_t Admission::running() const { return state_->running; }
std::size_t Admission::queued() const { return state_->queue.size(); }
bool Admission::draining() const { return state_->draining; }

}  // namespace sock::manager
