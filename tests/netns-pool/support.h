#pragma once

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/process.h"
#include "netns-pool/netns_pool.h"
#include "tests/netns-pool/death_watch.h"

namespace sock::netns::testing {

namespace asio = boost::asio;

inline constexpr Millis kPatience{30'000};

/// An event loop driven by the test, never longer than kPatience.
class Loop {
 public:
  // A timer makes the context open its descriptors now, so that they do not look like a leak later.
  Loop() { const asio::steady_timer timer(context_); }

  [[nodiscard]] asio::io_context& context() { return context_; }

  /// Runs handlers until `done` holds. False, and a test failure, when it does not in time.
  bool until(const std::function<bool()>& done, Millis patience = kPatience) {
    const auto deadline = Clock::now() + patience;
    while (!done()) {
      if (Clock::now() >= deadline) {
        ADD_FAILURE() << "not within " << patience.count() << " ms";
        return false;
      }
      context_.restart();
      context_.run_one_for(Millis{20});
    }
    return true;
  }

  /// Runs handlers for this long, to show that something does *not* happen.
  void settle(Millis time) {
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      context_.restart();
      context_.run_until(end);
    }
  }

  template <class T>
  void spawn(asio::awaitable<Result<T>> work, std::shared_ptr<std::optional<Result<T>>> out) {
    asio::co_spawn(context_, std::move(work), [out](std::exception_ptr error, Result<T> result) {
      if (error) result = fail(Code::kInternal, "test", "a coroutine threw");
      out->emplace(std::move(result));
    });
  }

  template <class T>
  Result<T> run(asio::awaitable<Result<T>> work) {
    auto out = std::make_shared<std::optional<Result<T>>>();
    spawn(std::move(work), out);
    if (!until([&] { return out->has_value(); })) return fail(Code::kTimeout, "test", "");
    return std::move(**out);
  }

  void run(asio::awaitable<void> work) {
    auto done = std::make_shared<bool>(false);
    asio::co_spawn(context_, std::move(work), [done](std::exception_ptr) { *done = true; });
    until([&] { return *done; });
  }

 private:
  asio::io_context context_;
};

/// A process that does nothing but hold a user namespace, ids 0–65535 mapped to 100000….
[[nodiscard]] Result<Process> hold_user_namespace();

[[nodiscard]] std::size_t open_descriptors();

/// The process exists, dead but unreaped included.
[[nodiscard]] bool exists(pid_t pid);

/// Waits for a process that is not our child any more, or gone.
[[nodiscard]] bool gone_within(pid_t pid, Millis patience);

/// Runs `body` in a forked child inside the network namespace; its text is what went wrong.
[[nodiscard]] std::string complaint_inside(int netns, const std::function<std::string()>& body);

/// A namespace from the pool; an empty one, and a test failure, when there is none.
[[nodiscard]] inline Netns lease(Loop& loop, NetnsPool& pool) {
  auto netns = loop.run(pool.lease());
  EXPECT_TRUE(netns) << netns.error().describe();
  return netns ? std::move(*netns) : Netns();
}

/// Why network namespaces cannot be made here; empty when they can.
[[nodiscard]] std::string missing_rights();

/// Path of the real helper, beside the test program.
[[nodiscard]] std::string helper_path();

}  // namespace sock::netns::testing
