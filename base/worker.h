#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace sock {

/// One thread for one kind of slow work (cgroup writes, disk). The event loop sends it a function
/// and awaits the value; functions run one after another, so what only they touch needs no lock.
class Worker {
 public:
  Worker() : pool_(1) {}

  /// Runs `function` on the worker; the coroutine goes on on its own executor. The function must
  /// not throw, and what it captures by reference must outlive the await.
  template <class Function>
  [[nodiscard]] boost::asio::awaitable<std::invoke_result_t<Function>> run(Function function) {
    namespace asio = boost::asio;
    std::unique_ptr<std::invoke_result_t<Function>> value;
    auto initiate = [this, &value, &function](auto handler) {
      auto job = [&value, &function, handler = std::move(handler)]() mutable {
        value = std::make_unique<std::invoke_result_t<Function>>(function());
        const auto executor = asio::get_associated_executor(handler);
        asio::post(executor, std::move(handler));
      };
      asio::post(pool_, std::move(job));
    };
    co_await asio::async_initiate<decltype(asio::use_awaitable), void()>(initiate,
                                                                         asio::use_awaitable);
    co_return std::move(*value);
  }

  /// Runs `function` on the worker, and nobody waits for it. Thread safe; never blocks.
  template <class Function>
  void post(Function function) {
    boost::asio::post(pool_, std::move(function));
  }

  /// Waits for the functions already sent.
  void join() { pool_.join(); }

 private:
  boost::asio::thread_pool pool_;
};

}  // namespace sock
