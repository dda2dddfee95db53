#include "manager/calls/call_history.h"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sock::manager {

namespace asio = boost::asio;

namespace {

std::size_t weight(const CallRecord& call) {
  std::size_t bytes = call.logs.size() + call.result.size();
  if (call.error) {
    bytes += call.error->type.size() + call.error->message.size() + call.error->stack_trace.size();
  }
  return bytes;
}

}  // namespace

/// Lives in the waiting coroutine; entries only refer to it.
struct CallHistory::Waiter {
  explicit Waiter(const asio::any_io_executor& executor) : timer(executor) {}
  asio::steady_timer timer;
};

CallHistory::~CallHistory() = default;

void CallHistory::record(CallRecord call) {
  const auto known = by_id_.find(call.id);
  if (known != by_id_.end()) {
    Entry& entry = *known->second;
    bytes_ -= weight(entry.call);
    call.function = entry.call.function;  // where its id is filed
    entry.call = std::move(call);
    bytes_ += weight(entry.call);
    if (entry.call.settled) wake(entry);
  } else {
    bytes_ += weight(call);
    calls_.push_back(Entry{std::move(call), {}});
    const auto entry = std::prev(calls_.end());
    by_id_.emplace(entry->call.id, entry);
    auto& ids = by_function_[entry->call.function];
    ids.push_back(entry->call.id);
    if (ids.size() > limits_.calls_per_function) ids.pop_front();
  }
  while (calls_.size() > 1 && (calls_.size() > limits_.calls || bytes_ > limits_.bytes)) {
    forget_oldest();
  }
}

const CallRecord* CallHistory::find(const std::string& id) const {
  const auto known = by_id_.find(id);
  return known == by_id_.end() ? nullptr : &known->second->call;
}

asio::awaitable<Result<CallRecord>> CallHistory::wait_settled(std::string id, Millis timeout) {
  const auto executor = co_await asio::this_coro::executor;
  const auto known = by_id_.find(id);
  if (known != by_id_.end() && !known->second->call.settled && timeout > Millis::zero()) {
    const auto waiter = std::make_shared<Waiter>(executor);
    auto& waiters = known->second->waiters;
    std::erase_if(waiters, [](const std::weak_ptr<Waiter>& other) { return other.expired(); });
    waiters.push_back(waiter);
    waiter->timer.expires_after(timeout);
    auto [ignored] = co_await waiter->timer.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  const CallRecord* call = find(id);
  if (call == nullptr)
    co_return fail(Code::kNotFound, "", "call " + id + " is not known (any more)");
  co_return *call;
}

std::vector<std::string> CallHistory::recent(const std::string& function) const {
  const auto ids = by_function_.find(function);
  if (ids == by_function_.end()) return {};
  return {ids->second.rbegin(), ids->second.rend()};
}

void CallHistory::forget_oldest() {
  Entry& entry = calls_.front();
  wake(entry);
  const auto ids = by_function_.find(entry.call.function);
  if (ids != by_function_.end()) {
    // The oldest call of all is the oldest of its function, unless it was dropped there before.
    if (!ids->second.empty() && ids->second.front() == entry.call.id) ids->second.pop_front();
    if (ids->second.empty()) by_function_.erase(ids);
  }
  bytes_ -= weight(entry.call);
  by_id_.erase(entry.call.id);
  calls_.pop_front();
}

void CallHistory::wake(Entry& entry) {
  for (const auto& reference : entry.waiters) {
    if (const auto waiter = reference.lock()) waiter->timer.cancel();
  }
  entry.waiters.clear();
}

}  // namespace sock::manager
