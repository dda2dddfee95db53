#include "base/async_mutex.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

namespace sock {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> turn(AsyncMutex& mutex, int id, std::vector<int>& log, int& inside) {
  auto guard = co_await mutex.lock();
  EXPECT_EQ(++inside, 1);
  log.push_back(id);
  co_await asio::post(asio::use_awaitable);
  --inside;
}

TEST(AsyncMutex, LetsOneInAtATimeInOrder) {
  asio::io_context loop;
  AsyncMutex mutex;
  std::vector<int> log;
  int inside = 0;
  for (int id = 0; id < 20; ++id) {
    asio::co_spawn(loop, turn(mutex, id, log, inside), asio::detached);
  }
  loop.run();
  ASSERT_EQ(log.size(), 20U);
  for (int id = 0; id < 20; ++id) EXPECT_EQ(log[static_cast<std::size_t>(id)], id);
}

}  // namespace
}  // namespace sock
