#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// One parsed request. The texts are the client's: nothing in them has been validated beyond HTTP.
struct HttpRequest {
  std::string method;        ///< "GET"; any token the client sent
  std::string target;        ///< path and query, percent-encoded as sent
  std::string content_type;  ///< empty when absent
  std::string options;       ///< X-Sock-Options, the one header of our own; empty when absent
  std::string body;          ///< complete, transfer coding removed

  /// Set by the handler before it first suspends: called at most once, on the event loop, when the
  /// client closes its connection (or abuses it with out-of-band data) while the handler runs. The
  /// answer is then dropped.
  std::function<void()> on_gone;
};

struct HttpResponse {
  unsigned status = 200;
  std::string_view content_type = "application/json";  ///< static storage
  std::string headers;  ///< further header lines, each with its CRLF; trusted text only
  std::string body;
};

/// What answers the requests. All calls are made on the event loop; it must outlive every handler
/// that the loop runs.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;

  /// Largest body accepted, in bytes. Called once per request, when all but the body is known.
  virtual std::size_t body_limit(const HttpRequest& head) const = 0;

  /// Answers a complete request. `request` outlives the coroutine and may be moved from. An
  /// exception becomes a 500.
  virtual boost::asio::awaitable<HttpResponse> handle(HttpRequest& request) = 0;

  /// The answer to something that never became a request (400, 408, 413, 417, 429, 500, 501).
  virtual HttpResponse refuse(unsigned status, std::string_view message) const = 0;
};

struct HttpServerOptions {
  std::string socket;  ///< path; at most about 90 bytes (unix(7), sun_path)
  unsigned mode = 0660;
  std::string group;                          ///< owner group by name; empty = the process's
  std::size_t max_connections = 1024;         ///< in all; more are answered 429 and closed
  std::size_t max_connections_per_uid = 512;  ///< by SO_PEERCRED
  std::uint32_t header_limit = 64 << 10;      ///< request line and header fields, bytes
  std::size_t body_memory = 512U << 20;       ///< bytes of request bodies held at one time
  Millis header_timeout{10'000};              ///< from a request's first byte to its last header
  Millis body_timeout{30'000};
  Millis idle_timeout{60'000};  ///< between requests; then closed without a word
  Millis write_timeout{30'000};
};

struct HttpServerCounts {
  std::size_t open = 0;        ///< connections now
  std::uint64_t accepted = 0;  ///< ever
  std::uint64_t refused = 0;   ///< over a connection limit
};

/// HTTP/1.1 on a Unix stream socket: persistent connections, one request of a connection at a time
/// (pipelined ones wait in the socket), `Expect: 100-continue`, chunked bodies.
///
/// A client that half-closes after its request (shutdown(2), SHUT_WR) still gets the answer; only a
/// full close counts as gone. Descriptors sent along are refused where the kernel can
/// (SO_PASSRIGHTS, Linux 6.16) and discarded elsewhere.
///
/// Single-threaded: construct, use and destroy on the event loop's thread.
class HttpServer {
 public:
  /// Binds and starts accepting. A socket file that nobody answers on is replaced; the new one
  /// appears by rename, listening already. kConflict if another server answers there or the path is
  /// something else; kInvalid for a path that is too long or an unknown group.
  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> listen(
      const boost::asio::any_io_executor& executor, HttpServerOptions options,
      HttpHandler& handler);

  /// Closes everything at once. Requests being handled finish unheard.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// New connections are refused by the kernel from now on; the socket file is removed if it is
  /// still ours. Open connections go on.
  void stop_accepting();

  /// stop_accepting(), closes idle connections, lets the others finish the request they are in and
  /// closes what is left at the deadline (calling their on_gone). True when none had to be cut.
  [[nodiscard]] boost::asio::awaitable<bool> shutdown(Clock::time_point deadline);

  [[nodiscard]] HttpServerCounts counts() const;

 private:
  struct Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);

  std::shared_ptr<Impl> impl_;
};

}  // namespace sock::manager
