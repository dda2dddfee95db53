#include "cli/client.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <csignal>
#include <cstring>
#include <limits>
#include <system_error>
#include <thread>

#include "base/fd.h"

namespace sock::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using HttpRequest = http::request<http::span_body<const char>>;
using ResponseParser = http::response_parser<http::string_body>;

constexpr Millis kConnectTimeout{5'000};
constexpr Millis kConnectRetry{10};
/// How long an answer may take once sockd has stopped reading the request.
constexpr Millis kAnswerAfterRefusal{2'000};
constexpr std::uint32_t kMaxHeaderBytes = 64U << 10U;
constexpr std::uint64_t kMaxBodyBytes = 64ULL << 20U;

std::unexpected<Failure> unreachable(const std::string& path, int error) {
  std::string message = "cannot reach sockd at " + path + ": ";
  if (error == EACCES || error == EPERM) {
    return fail(ExitCode::kUnreachable,
                message + "permission denied; be root or a member of the socket's group");
  }
  message += std::generic_category().message(error);
  if (error == EAGAIN) return fail(ExitCode::kUnreachable, message + "; it accepts no connection");
  return fail(ExitCode::kUnreachable,
              message + "; is it running? start it with: sockd --socket " + path);
}

/// By hand because a Unix socket whose listener's queue is full answers EAGAIN at once and never
/// becomes writable later (connect(2)), which Asio's asynchronous connect takes for success.
Outcome<Fd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fail(ExitCode::kUsage, "socket path must have 1 to " +
                                      std::to_string(sizeof address.sun_path - 1) + " bytes: '" +
                                      path + "'");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  const auto deadline = Clock::now() + kConnectTimeout;
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return unreachable(path, errno);
  for (;;) {
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return fd;
    if (errno == EINTR) continue;
    if (errno != EAGAIN || Clock::now() >= deadline) return unreachable(path, errno);
    std::this_thread::sleep_for(kConnectRetry);
  }
}

std::string duration_text(Millis duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

Response to_response(http::response<http::string_body>&& message) {
  Response response;
  response.status = message.result_int();
  for (const auto& field : message.base()) {
    const auto raw = field.name_string();
    std::string name(raw.data(), raw.size());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto value = field.value();
    response.headers[std::move(name)] = std::string(value.data(), value.size());
  }
  response.body = std::move(message.body());
  return response;
}

}  // namespace

struct Client::Connection {
  asio::io_context io{1};
  asio::local::stream_protocol::socket socket{io};
  boost::beast::flat_buffer buffer{kMaxHeaderBytes + kMaxBodyBytes};
};

namespace {

/// One request under way. The answer is awaited from the beginning, not after the last byte sent:
/// sockd refuses a body that is too large before it has read it.
class Exchange {
 public:
  Exchange(asio::io_context& io, asio::local::stream_protocol::socket& socket,
           boost::beast::flat_buffer& buffer)
      : io_(io), socket_(socket), buffer_(buffer), timer_(io), signals_(io) {
    parser_.body_limit(kMaxBodyBytes);
    parser_.header_limit(kMaxHeaderBytes);
  }

  void run(const HttpRequest& request, Millis timeout) {
    error_code ignored;
    signals_.add(SIGINT, ignored);
    signals_.async_wait([this](const error_code& error, int) {
      if (error) return;
      interrupted_ = true;
      close();
    });
    close_after(timeout);
    http::async_write(socket_, request, [this](const error_code& error, std::size_t) {
      written_ = true;
      if (error && !answered_) close_after(kAnswerAfterRefusal);
    });
    http::async_read(socket_, buffer_, parser_, [this](const error_code& error, std::size_t) {
      answered_ = true;
      read_error_ = error;
      // A request still being sent has lost its purpose; its connection cannot be used again.
      if (error || !written_) close();
      error_code unused;
      signals_.cancel(unused);
      timer_.cancel();
    });
    io_.restart();
    io_.run();
  }

  [[nodiscard]] bool interrupted() const { return interrupted_; }
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] const error_code& read_error() const { return read_error_; }
  [[nodiscard]] bool reusable() const { return socket_.is_open() && parser_.keep_alive(); }
  [[nodiscard]] http::response<http::string_body> take() { return parser_.release(); }

 private:
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

  void close_after(Millis delay) {
    timer_.expires_after(delay);
    timer_.async_wait([this](const error_code& error) {
      if (error) return;
      timed_out_ = true;
      close();
    });
  }

  asio::io_context& io_;
  asio::local::stream_protocol::socket& socket_;
  boost::beast::flat_buffer& buffer_;
  asio::steady_timer timer_;
  asio::signal_set signals_;
  ResponseParser parser_;
  error_code read_error_;
  bool written_ = false;
  bool answered_ = false;
  bool interrupted_ = false;
  bool timed_out_ = false;
};

std::unexpected<Failure> failure_of(const Exchange& exchange, const Request& request) {
  if (exchange.interrupted()) return fail(ExitCode::kInterrupted, "interrupted");
  if (exchange.timed_out()) {
    return fail(ExitCode::kUnreachable,
                "sockd did not answer within " + duration_text(request.timeout) + " to " +
                    request.method + " " + request.target + "; look at its log");
  }
  const error_code error = exchange.read_error();
  if (error == http::error::body_limit || error == http::error::header_limit ||
      error == http::error::buffer_overflow) {
    return fail(ExitCode::kInternal, "sockd's answer is larger than sockctl accepts (64 MiB)");
  }
  const bool lost = error == http::error::end_of_stream || error == http::error::partial_message ||
                    error.category() == boost::system::system_category() ||
                    error.category() == asio::error::get_misc_category();
  if (lost) {
    return fail(ExitCode::kUnreachable, "sockd closed the connection without an answer (" +
                                            error.message() +
                                            "); it may have stopped, look at its log");
  }
  return fail(ExitCode::kInternal,
              "what listens on the socket does not speak HTTP: " + error.message());
}

}  // namespace

std::string Response::header(std::string_view lower_case_name) const {
  const auto found = headers.find(std::string(lower_case_name));
  return found == headers.end() ? std::string() : found->second;
}

Client::Client(std::string socket_path) : socket_path_(std::move(socket_path)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Outcome<Response> Client::exchange(const Request& request) {
  if (!connection_) {
    auto fd = connect_to(socket_path_);
    if (!fd) return std::unexpected(fd.error());
    connection_ = std::make_unique<Connection>();
    error_code error;
    connection_->socket.assign(asio::local::stream_protocol{}, fd->get(), error);
    if (error) return fail(ExitCode::kInternal, "socket: " + error.message());
    (void)fd->release();
  }
  const auto verb = http::string_to_verb(request.method);
  HttpRequest message{verb, request.target, 11};
  message.set(http::field::host, "sockd");
  message.set(http::field::user_agent, "sockctl/" SOCK_VERSION);
  if (!request.content_type.empty()) message.set(http::field::content_type, request.content_type);
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = {request.body.data(), request.body.size()};
  message.prepare_payload();

  bool reusable = false;
  Outcome<Response> outcome;
  {
    // Its timer and signals belong to the connection's loop, so it has to end first.
    Exchange exchange(connection_->io, connection_->socket, connection_->buffer);
    exchange.run(message, request.timeout);
    if (exchange.interrupted() || exchange.timed_out() || exchange.read_error()) {
      outcome = failure_of(exchange, request);
    } else {
      reusable = exchange.reusable();
      outcome = to_response(exchange.take());
    }
  }
  if (!reusable) connection_.reset();
  return outcome;
}

std::string encode_segment(std::string_view segment) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                       std::string_view("-_.~").find(c) != std::string_view::npos);
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

}  // namespace sock::cli
