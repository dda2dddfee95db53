#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "manager/api/http_parser.h"
#include "manager/api/http_server.h"

namespace sock::manager {

class HttpSession;

/// What the sessions of one server share. Sessions enter and leave it themselves.
struct HttpSessions {
  HttpSessions(const boost::asio::any_io_executor& executor, HttpServerOptions server_options,
               HttpHandler& request_handler)
      : options(std::move(server_options)), handler(&request_handler), emptied(executor) {}

  HttpServerOptions options;
  HttpHandler* handler;
  std::unordered_set<HttpSession*> open;
  std::unordered_map<uid_t, std::size_t> per_uid;
  std::size_t body_bytes = 0;         ///< of all requests being read or handled
  bool draining = false;              ///< every answer is the connection's last
  boost::asio::steady_timer emptied;  ///< cancelled when the last session ends
};

/// One connection from accept to close.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  HttpSession(Socket socket, uid_t uid, std::shared_ptr<HttpSessions> sessions);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  /// Serves the connection; keeps itself alive until it is closed.
  void start();

  /// Closes it if no request has begun to arrive.
  void close_if_idle();

  /// Closes it whatever it does; a running request's on_gone is called.
  void abort();

 private:
  enum class Stage { kIdle, kReading, kHandling, kWriting, kLingering };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<bool> read_request(HttpParser& parser);
  boost::asio::awaitable<bool> read_body(HttpParser& parser);
  boost::asio::awaitable<bool> receive_more();
  boost::asio::awaitable<bool> answer(HttpRequest& request, bool keep_alive);
  boost::asio::awaitable<bool> write(const HttpResponse& response, bool keep_alive, bool with_body);
  boost::asio::awaitable<bool> write_all(std::string_view head, std::string_view body);
  boost::asio::awaitable<void> write_refusal();
  boost::asio::awaitable<void> linger();

  /// Notes why there will be no request; always false.
  [[nodiscard]] bool refuse(HttpParser::Failure failure);
  void watch();
  void vanish();
  void arm(Clock::time_point deadline);
  void on_timer();
  [[nodiscard]] bool charge_body();
  void release_body();

  Socket socket_;
  uid_t uid_;
  std::shared_ptr<HttpSessions> sessions_;

  // Received bytes are input_[begin_, end_).
  std::vector<char> input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;

  HttpRequest request_;
  std::size_t charged_ = 0;  ///< of request_.body, in sessions_->body_bytes
  std::string head_;         ///< of the response, reused

  // One timer a session: it is moved only when it would fire too late, and looks at deadline_ when
  // it fires.
  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();
  Clock::time_point timer_at_ = Clock::time_point::max();  ///< max = not waiting

  HttpParser::Failure refusal_;  ///< status 0 = none

  Stage stage_ = Stage::kIdle;
  bool late_ = false;     ///< the deadline ended the last wait
  bool gone_ = false;     ///< the peer has closed
  bool closing_ = false;  ///< no further request is to be read
};

}  // namespace sock::manager
