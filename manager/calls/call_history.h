#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "manager/calls/call.h"

namespace sock::manager {

/// The most recent calls, oldest forgotten first. Bounded by number and by the bytes of their logs,
/// results and errors. Single-threaded, on the event loop; it must outlive its waiters.
class CallHistory {
 public:
  struct Limits {
    std::size_t calls = 10'000;
    std::size_t bytes = 64U << 20;         ///< the newest call is kept even if it alone is larger
    std::size_t calls_per_function = 100;  ///< ids that recent() knows
  };

  CallHistory() : CallHistory(Limits()) {}
  explicit CallHistory(Limits limits) : limits_(limits) {}
  CallHistory(const CallHistory&) = delete;
  CallHistory& operator=(const CallHistory&) = delete;
  ~CallHistory();

  /// Adds a call, or replaces what is known of it: typically once when the reply goes out and once
  /// more, `settled`, when the sandbox is accounted. Settling wakes those who wait.
  void record(CallRecord call);

  /// Null when unknown or forgotten. Valid until the next record().
  [[nodiscard]] const CallRecord* find(const std::string& id) const;

  /// A call once it has settled; after `timeout` as far as it is known (`settled` is false then).
  /// kNotFound when unknown, also when it is forgotten meanwhile.
  [[nodiscard]] boost::asio::awaitable<Result<CallRecord>> wait_settled(std::string id,
                                                                        Millis timeout);

  /// Ids of a function's calls, newest first; empty when there are none.
  [[nodiscard]] std::vector<std::string> recent(const std::string& function) const;

  [[nodiscard]] std::size_t size() const { return calls_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Waiter;
  struct Entry {
    CallRecord call;
    std::vector<std::weak_ptr<Waiter>> waiters;
  };
  using Entries = std::list<Entry>;

  void forget_oldest();
  static void wake(Entry& entry);

  Limits limits_;
  Entries calls_;  ///< oldest first
  std::unordered_map<std::string, Entries::iterator> by_id_;
  std::unordered_map<std::string, std::deque<std::string>> by_function_;  ///< oldest first
  std::size_t bytes_ = 0;
};

}  // namespace sock::manager
