#include "bench/load.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "bench/cpu.h"

namespace sock::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Stream = beast::basic_stream<asio::local::stream_protocol>;

constexpr auto kAnswerWithin = std::chrono::seconds(60);

class Load {
 public:
  explicit Load(const LoadSpec& spec) : spec_(spec), timer_(context_) {}

  Round run() {
    for (unsigned i = 0; i < spec_.clients; ++i) {
      asio::co_spawn(context_, client(), asio::detached);
    }
    asio::co_spawn(context_, watch(), asio::detached);
    context_.run();
    return std::move(round_);
  }

 private:
  /// Opens and closes the window.
  asio::awaitable<void> watch() {
    co_await sleep_until(Clock::now() + spec_.settle);
    const auto machine = machine_cpu_us();
    const auto daemon = spec_.daemon_cpu ? spec_.daemon_cpu() : std::nullopt;
    opened_ = Clock::now();
    counting_ = true;
    co_await sleep_until(opened_ + spec_.window);
    counting_ = false;
    over_ = true;
    const auto micros = micros_between(opened_, Clock::now());
    round_.seconds = static_cast<double>(micros) / 1e6;
    round_.machine_cpu_us = machine_cpu_us() - machine;
    const auto now = spec_.daemon_cpu ? spec_.daemon_cpu() : std::nullopt;
    if (daemon && now) round_.own_cpu_us = *now - *daemon;
  }

  asio::awaitable<void> sleep_until(Clock::time_point until) {
    while (Clock::now() < until && !stopped()) {
      timer_.expires_at(std::min(until, Clock::now() + Millis(100)));
      auto [error] = co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
      (void)error;
    }
  }

  asio::awaitable<void> client() {
    while (!over_) {
      const auto why = co_await connection();
      if (why.empty()) continue;
      if (counting_) ++round_.errors[why];
      // A daemon that refuses connections must not be hammered in a tight loop.
      asio::steady_timer pause(context_, Millis(20));
      auto [error] = co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
      (void)error;
    }
  }

  /// Calls on one connection until the end, or until it breaks: then says why.
  asio::awaitable<std::string> connection() {
    Stream stream(context_);
    stream.expires_after(kAnswerWithin);
    const asio::local::stream_protocol::endpoint endpoint(spec_.socket);
    auto [refused] = co_await stream.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
    if (refused) co_return "connect: " + refused.message();

    http::request<http::string_body> request(http::verb::post,
                                             "/v1/functions/" + spec_.function + "/invoke", 11);
    request.set(http::field::host, "sock");
    request.set(http::field::content_type, "application/json");
    request.body() = "{}";
    request.prepare_payload();
    beast::flat_buffer buffer;
    while (!over_) {
      const auto sent = Clock::now();
      const bool inside = counting_;
      stream.expires_after(kAnswerWithin);
      auto [unsent, written] =
          co_await http::async_write(stream, request, asio::as_tuple(asio::use_awaitable));
      if (unsent) co_return "send: " + unsent.message();
      http::response<http::string_body> response;
      auto [unread, read] =
          co_await http::async_read(stream, buffer, response, asio::as_tuple(asio::use_awaitable));
      if (unread) co_return "read: " + unread.message();
      if (inside && counting_) count(response, micros_between(sent, Clock::now()));
      if (!response.keep_alive()) co_return "";
    }
    co_return "";
  }

  void count(const http::response<http::string_body>& response, std::int64_t micros) {
    if (response.result() != http::status::ok) {
      ++round_.errors["HTTP " + std::to_string(response.result_int())];
    } else if (response.body() != kFreshAnswer) {
      ++round_.errors["not a fresh sandbox"];
    } else {
      round_.latencies_us.push_back(micros);
      ++round_.starts[std::string(response["X-Sock-Start"])];
    }
  }

  [[nodiscard]] bool stopped() const { return spec_.stop != nullptr && *spec_.stop; }

  const LoadSpec& spec_;
  asio::io_context context_{1};
  asio::steady_timer timer_;
  Round round_;
  Clock::time_point opened_{};
  bool counting_ = false;
  bool over_ = false;
};

}  // namespace

std::string noop_source(const std::string& package) {
  std::string source;
  if (!package.empty()) source += "import " + package + "\n\n";
  source +=
      "calls = 0\n\n\n"
      "def handler(event, context):\n"
      "    global calls\n"
      "    calls += 1\n"
      "    return calls\n";
  return source;
}

Round drive(const LoadSpec& spec) { return Load(spec).run(); }

}  // namespace sock::bench
