#include "base/channel.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sock {

namespace asio = boost::asio;
using boost::system::error_code;

asio::awaitable<Result<>> wait_readable(asio::posix::stream_descriptor& descriptor,
                                        Clock::time_point deadline) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor, deadline);
  bool late = false;
  timer.async_wait([&descriptor, &late](error_code error) {
    if (error) return;
    late = true;
    error_code ignored;
    descriptor.cancel(ignored);
  });
  auto [error] = co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                                asio::as_tuple(asio::use_awaitable));
  if (timer.cancel() == 0 && !late) {
    // The timer has fired and its handler is queued: let it run while `late` still exists.
    auto ignored = co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    (void)ignored;
  }
  if (!error) co_return Result<>{};
  if (late) co_return fail(Code::kTimeout, "wait", "no answer before the deadline");
  co_return fail_errno("wait", error.message(), error.value());
}

Channel::Channel(const asio::any_io_executor& executor, Fd socket)
    : socket_(executor, socket.release()) {
  socket_.non_blocking(true);
}

Result<> Channel::send(std::span<const std::byte> bytes, std::span<const int> fds) {
  if (!socket_.is_open()) return fail(Code::kKilled, "send", "the channel is closed");
  return send_message(socket_.native_handle(), bytes, fds);
}

asio::awaitable<Result<Received>> Channel::receive(std::span<std::byte> buffer,
                                                   Clock::time_point deadline) {
  if (!socket_.is_open()) co_return fail(Code::kKilled, "receive", "the channel is closed");
  for (;;) {
    // First: what is received are answers, which hardly ever are there at once.
    auto ready = co_await wait_readable(socket_, deadline);
    if (!ready) co_return std::unexpected(ready.error());
    auto received = receive_message(socket_.native_handle(), buffer, MSG_DONTWAIT);
    if (received && received->size == 0) {
      co_return fail(Code::kKilled, "receive", "the peer is gone");
    }
    if (received || received.error().sys_errno != EAGAIN) co_return received;
  }
}

void Channel::close() {
  error_code ignored;
  socket_.close(ignored);
}

}  // namespace sock
