#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "manager/calls/clone_stock.h"

namespace sock::manager {

/// Makes clones without a sandbox: a socket and a pipe, whose other ends it holds.
class CloneFactory {
 public:
  explicit CloneFactory(boost::asio::io_context& loop) : loop_(loop) {}

  [[nodiscard]] CloneMaker maker() {
    return [this] { return make(); };
  }
  [[nodiscard]] CloneBurier burier() {
    return [this](std::unique_ptr<Clone> clone) { return bury(std::move(clone)); };
  }

  [[nodiscard]] boost::asio::any_io_executor executor() { return loop_.get_executor(); }

  Millis takes{0};
  std::optional<Error> error;  ///< of every clone from now on
  unsigned made = 0;
  unsigned buried = 0;
  unsigned at_once = 0;  ///< at most
  std::vector<Fd> far_ends;

 private:
  boost::asio::awaitable<Result<std::unique_ptr<Clone>>> make() {
    ++working_;
    at_once = std::max(at_once, working_);
    co_await take_time();
    --working_;
    if (error) co_return std::unexpected(*error);
    std::array<int, 2> sockets{};
    std::array<int, 2> pipe{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) < 0 ||
        ::pipe2(pipe.data(), O_CLOEXEC) < 0) {
      co_return fail_errno("test", "socketpair");
    }
    ::close(pipe[1]);
    far_ends.emplace_back(sockets[1]);
    ++made;
    co_return std::make_unique<Clone>(loop_.get_executor(), nullptr, Process(), Fd(sockets[0]),
                                      Fd(pipe[0]));
  }

  boost::asio::awaitable<void> bury(std::unique_ptr<Clone> clone) {
    co_await take_time();
    clone.reset();
    ++buried;
  }

  boost::asio::awaitable<void> take_time() {
    boost::asio::steady_timer timer(loop_, takes);
    auto ignored = co_await timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    (void)ignored;
  }

  boost::asio::io_context& loop_;
  unsigned working_ = 0;
};

}  // namespace sock::manager
