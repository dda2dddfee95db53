#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <utility>

namespace sock::test_support {

/// Runs a coroutine to its end and returns its value.
template <class T>
T run(boost::asio::io_context& loop, boost::asio::awaitable<T> coroutine) {
  std::optional<T> value;
  auto keep = [](boost::asio::awaitable<T> inner,
                 std::optional<T>& out) -> boost::asio::awaitable<void> {
    out.emplace(co_await std::move(inner));
  };
  boost::asio::co_spawn(loop, keep(std::move(coroutine), value), boost::asio::detached);
  loop.restart();
  while (!value) loop.run_one();
  return std::move(*value);
}

}  // namespace sock::test_support
