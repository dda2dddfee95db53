#include "manager/background.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <stdexcept>

namespace sock::manager {
namespace {

namespace asio = boost::asio;

class BackgroundTest : public testing::Test {
 protected:
  asio::awaitable<void> work(Millis duration) {
    asio::steady_timer timer(loop_, duration);
    co_await timer.async_wait(asio::use_awaitable);
    ++ended_;
  }

  /// What wait() says, and how much work had ended by then.
  std::pair<bool, int> wait(Millis timeout) {
    std::optional<std::pair<bool, int>> out;
    auto keep = [&]() -> asio::awaitable<void> {
      const bool all = co_await background_.wait(Clock::now() + timeout);
      out.emplace(all, ended_);
    };
    asio::co_spawn(loop_, keep(), asio::detached);
    loop_.restart();
    while (!out) loop_.run_one();
    return *out;
  }

  asio::io_context loop_;
  Background background_{loop_.get_executor()};
  int ended_ = 0;
};

TEST_F(BackgroundTest, WaitsForAllOfIt) {
  EXPECT_EQ(wait(Millis(0)), std::pair(true, 0));
  background_.run(work(Millis(5)));
  background_.run(work(Millis(30)));
  background_.run(work(Millis(1)));
  EXPECT_EQ(wait(Millis(10'000)), std::pair(true, 3));
  EXPECT_EQ(wait(Millis(0)), std::pair(true, 3));
}

TEST_F(BackgroundTest, WaitsForWhatWorkBegins) {
  auto begin = [&]() -> asio::awaitable<void> {
    co_await work(Millis(5));
    background_.run(work(Millis(20)));
  };
  background_.run(begin());
  EXPECT_EQ(wait(Millis(10'000)), std::pair(true, 2));
}

TEST_F(BackgroundTest, DoesNotWaitForever) {
  background_.run(work(Millis(2'000)));
  background_.run(work(Millis(1)));
  EXPECT_EQ(wait(Millis(50)), std::pair(false, 1));
}

TEST_F(BackgroundTest, AnExceptionEndsWorkToo) {
  auto fail = [&]() -> asio::awaitable<void> {
    co_await work(Millis(1));
    throw std::runtime_error("no");
  };
  background_.run(fail());
  EXPECT_EQ(wait(Millis(10'000)), std::pair(true, 1));
}

}  // namespace
}  // namespace sock::manager
