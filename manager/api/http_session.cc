#include "manager/api/http_session.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <cstring>

namespace sock::manager {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kReadSize = 16 << 10;
constexpr std::size_t kBodyReadSize = 64 << 10;
/// Beyond this nothing of a request is parsed by holding on to more bytes: chunk extensions and
/// trailers are not worth more.
constexpr std::size_t kInputSlack = 128 << 10;
/// After a refusal, what the client still sends is read and thrown away for so long, so that it
/// gets to see the answer instead of a broken pipe.
constexpr Millis kLinger{2'000};

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

void write_head(std::string& out, const HttpResponse& response, bool keep_alive) {
  const auto reason =
      boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(response.status));
  out.assign("HTTP/1.1 ");
  append_number(out, response.status);
  out.append(" ").append(reason.data(), reason.size());
  out.append("\r\nContent-Type: ").append(response.content_type);
  out.append("\r\nContent-Length: ");
  append_number(out, response.body.size());
  out.append("\r\n").append(response.headers);
  if (!keep_alive) out.append("Connection: close\r\n");
  out.append("\r\n");
}

}  // namespace

HttpSession::HttpSession(Socket socket, uid_t uid, std::shared_ptr<HttpSessions> sessions)
    : socket_(std::move(socket)),
      uid_(uid),
      sessions_(std::move(sessions)),
      timer_(socket_.get_executor()) {
  sessions_->open.insert(this);
  ++sessions_->per_uid[uid_];
}

HttpSession::~HttpSession() {
  release_body();
  sessions_->open.erase(this);
  const auto count = sessions_->per_uid.find(uid_);
  if (--count->second == 0) sessions_->per_uid.erase(count);
  if (sessions_->open.empty()) sessions_->emptied.cancel();
}

void HttpSession::start() {
  watch();
  asio::co_spawn(
      socket_.get_executor(), [self = shared_from_this()] { return self->run(); }, asio::detached);
}

void HttpSession::close_if_idle() {
  closing_ = true;
  error_code ignored;
  if (stage_ == Stage::kIdle || stage_ == Stage::kLingering) socket_.cancel(ignored);
}

void HttpSession::abort() {
  vanish();
  closing_ = true;
  error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
}

asio::awaitable<void> HttpSession::run() {
  try {
    for (;;) {
      HttpParser parser(request_, sessions_->options.header_limit);
      const bool complete = co_await read_request(parser);
      if (refusal_.status != 0) co_await write_refusal();
      if (!complete || gone_) break;
      const bool keep_alive = parser.keep_alive();
      const bool again = co_await answer(request_, keep_alive);
      if (!again) break;
    }
  } catch (...) {
    // Out of memory: this connection is lost, the others are not.
  }
  abort();
}

asio::awaitable<bool> HttpSession::read_request(HttpParser& parser) {
  stage_ = Stage::kIdle;
  auto deadline = Clock::now() + sessions_->options.idle_timeout;
  for (;;) {
    if (begin_ < end_) {
      if (stage_ == Stage::kIdle) {
        stage_ = Stage::kReading;
        deadline = Clock::now() + sessions_->options.header_timeout;
      }
      std::size_t used = 0;
      const auto read = parser.feed({input_.data() + begin_, end_ - begin_}, used);
      begin_ += used;
      if (read == HttpRead::kComplete) co_return true;
      if (read == HttpRead::kHeader) break;
      if (read == HttpRead::kFailed) co_return refuse(parser.error());
    } else if (closing_) {
      co_return false;
    }
    arm(deadline);
    const bool received = co_await receive_more();
    if (!received) {
      if (late_ && stage_ == Stage::kReading) {
        co_return refuse({408, "the request header did not arrive in time"});
      }
      co_return false;
    }
  }
  const bool complete = co_await read_body(parser);
  co_return complete;
}

asio::awaitable<bool> HttpSession::read_body(HttpParser& parser) {
  const std::size_t limit = sessions_->handler->body_limit(request_);
  if (!parser.limit_body(limit)) {
    co_return refuse({413, "the request body is larger than " + std::to_string(limit) + " bytes"});
  }
  if (parser.expects_continue() && begin_ == end_) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const std::string_view no_body;
    const bool sent = co_await write_all(kContinue, no_body);
    if (!sent) co_return false;
  }
  const auto deadline = Clock::now() + sessions_->options.body_timeout;
  for (;;) {
    if (begin_ < end_) {
      std::size_t used = 0;
      const auto read = parser.feed({input_.data() + begin_, end_ - begin_}, used);
      begin_ += used;
      if (!charge_body()) {
        co_return refuse({429, "busy: too many request bodies are being received; retry"});
      }
      if (read == HttpRead::kComplete) co_return true;
      if (read == HttpRead::kFailed) co_return refuse(parser.error());
    }
    arm(deadline);
    const bool received = co_await receive_more();
    if (!received) {
      if (late_) co_return refuse({408, "the request body did not arrive in time"});
      co_return false;
    }
  }
}

/// False at end of file, on an error, and when the deadline passed (`late_`).
asio::awaitable<bool> HttpSession::receive_more() {
  if (begin_ == end_) begin_ = end_ = 0;
  const std::size_t wanted = charged_ > 0 ? kBodyReadSize : kReadSize;
  if (input_.size() - end_ < wanted && begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (input_.size() - end_ < wanted) {
    if (end_ > sessions_->options.header_limit + kInputSlack) {
      co_return refuse({413, "a chunk header or trailer of the request is too large"});
    }
    input_.resize(end_ + wanted);
  }
  const auto space = asio::buffer(input_.data() + end_, input_.size() - end_);
  auto [error, count] = co_await socket_.async_read_some(space, kAwait);
  if (error || late_) co_return false;
  end_ += count;
  co_return true;
}

asio::awaitable<bool> HttpSession::answer(HttpRequest& request, bool keep_alive) {
  const bool with_body = request.method != "HEAD";
  stage_ = Stage::kHandling;
  deadline_ = Clock::time_point::max();
  HttpResponse response;
  bool failed = false;
  try {
    response = co_await sessions_->handler->handle(request);
  } catch (...) {
    failed = true;
  }
  request.on_gone = nullptr;
  release_body();
  if (gone_) co_return false;
  if (failed) response = sessions_->handler->refuse(500, "the request failed inside the daemon");
  if (sessions_->draining || closing_) keep_alive = false;
  stage_ = Stage::kWriting;
  const bool written = co_await write(response, keep_alive, with_body);
  if (!written) keep_alive = false;
  co_return keep_alive;
}

asio::awaitable<bool> HttpSession::write(const HttpResponse& response, bool keep_alive,
                                         bool with_body) {
  write_head(head_, response, keep_alive);
  const std::string_view body = with_body ? std::string_view(response.body) : std::string_view();
  const bool written = co_await write_all(head_, body);
  co_return written;
}

asio::awaitable<bool> HttpSession::write_all(std::string_view head, std::string_view body) {
  const auto deadline = Clock::now() + sessions_->options.write_timeout;
  while (!head.empty() || !body.empty()) {
    std::array<iovec, 2> parts{iovec{const_cast<char*>(head.data()), head.size()},
                               iovec{const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t sent = sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      auto count = static_cast<std::size_t>(sent);
      const std::size_t of_head = std::min(count, head.size());
      head.remove_prefix(of_head);
      body.remove_prefix(count - of_head);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return false;
    arm(deadline);
    auto [error] = co_await socket_.async_wait(Socket::wait_write, kAwait);
    if (error || late_) co_return false;
  }
  co_return true;
}

bool HttpSession::refuse(HttpParser::Failure failure) {
  refusal_ = std::move(failure);
  return false;
}

asio::awaitable<void> HttpSession::write_refusal() {
  closing_ = true;
  release_body();
  stage_ = Stage::kWriting;
  const HttpResponse response = sessions_->handler->refuse(refusal_.status, refusal_.message);
  const bool written = co_await write(response, false, true);
  if (written && !gone_ && !sessions_->draining) co_await linger();
}

asio::awaitable<void> HttpSession::linger() {
  stage_ = Stage::kLingering;
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  arm(Clock::now() + kLinger);
  begin_ = end_ = 0;
  input_.resize(std::max(input_.size(), kReadSize));
  const auto space = asio::buffer(input_);
  while (Clock::now() < deadline_) {
    auto [error, count] = co_await socket_.async_read_some(space, kAwait);
    if (error) co_return;
  }
}

/// Waits for the peer's end for as long as the connection is open. epoll(7) reports a full close as
/// EPOLLHUP whatever is still unread, so that a pipelined request is neither taken for it nor lost.
void HttpSession::watch() {
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](error_code error) {
    if (!error) self->vanish();
  });
}

void HttpSession::vanish() {
  if (gone_) return;
  gone_ = true;
  if (stage_ != Stage::kHandling || !request_.on_gone) return;
  const auto on_gone = std::exchange(request_.on_gone, nullptr);
  on_gone();
}

void HttpSession::arm(Clock::time_point deadline) {
  late_ = false;
  deadline_ = deadline;
  if (timer_at_ <= deadline) return;
  timer_at_ = deadline;
  timer_.expires_at(deadline);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->on_timer();
  });
}

void HttpSession::on_timer() {
  timer_at_ = Clock::time_point::max();
  if (deadline_ == Clock::time_point::max()) return;
  if (Clock::now() < deadline_) {
    arm(deadline_);
    return;
  }
  late_ = true;
  error_code ignored;
  socket_.cancel(ignored);
}

bool HttpSession::charge_body() {
  const std::size_t grown = request_.body.size() - charged_;
  charged_ += grown;
  sessions_->body_bytes += grown;
  return sessions_->body_bytes <= sessions_->options.body_memory;
}

void HttpSession::release_body() {
  request_.body = std::string();
  sessions_->body_bytes -= charged_;
  charged_ = 0;
}

}  // namespace sock::manager
