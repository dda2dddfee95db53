#include "bench/http.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

namespace sock::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol>;
using Request = http::request<http::string_body>;

asio::awaitable<Result<Reply>> exchange(const std::string& socket, const Request& request,
                                        Millis timeout) {
  const auto executor = co_await asio::this_coro::executor;
  Stream stream(executor);
  stream.expires_after(timeout);
  const asio::local::stream_protocol::endpoint endpoint(socket);
  auto [refused] = co_await stream.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
  if (refused) co_return fail_errno("connect", socket, refused.value());
  auto [unsent, sent] =
      co_await http::async_write(stream, request, asio::as_tuple(asio::use_awaitable));
  if (unsent) co_return fail(Code::kInternal, "send to " + socket, unsent.message());
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  auto [unread, size] =
      co_await http::async_read(stream, buffer, response, asio::as_tuple(asio::use_awaitable));
  if (unread) co_return fail(Code::kInternal, "read from " + socket, unread.message());
  Reply reply;
  reply.status = response.result_int();
  reply.body = std::move(response.body());
  co_return reply;
}

}  // namespace

Result<Reply> request(const std::string& socket, const std::string& method,
                      const std::string& target, const std::string& body,
                      const std::map<std::string, std::string>& headers, Millis timeout) {
  // sockaddr_un holds 108 bytes; a longer path would throw.
  if (socket.size() > 107) return fail(Code::kInvalid, "connect", socket + ": path too long");
  Request message(http::string_to_verb(method), target, 11);
  message.set(http::field::host, "sock");
  for (const auto& [name, value] : headers) message.set(name, value);
  message.body() = body;
  message.prepare_payload();

  asio::io_context context(1);
  Result<Reply> result = fail(Code::kInternal, "request", target);
  auto run = [&]() -> asio::awaitable<void> {
    result = co_await exchange(socket, message, timeout);
  };
  asio::co_spawn(context, run, asio::detached);
  context.run();
  return result;
}

}  // namespace sock::bench
