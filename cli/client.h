#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/failure.h"

namespace sock::cli {

struct Request {
  std::string method;  ///< "GET", "PUT", "POST" or "DELETE"
  std::string target;  ///< path; see encode_segment()
  std::string body;
  std::string content_type;
  std::vector<std::pair<std::string, std::string>> headers;  ///< values must be one line of ASCII
  Millis timeout{30'000};  ///< from the first byte sent to the last received
};

struct Response {
  unsigned status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;

  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
  /// A header's value, "" when it is missing.
  [[nodiscard]] std::string header(std::string_view lower_case_name) const;
};

/// HTTP/1.1 to sockd over its Unix socket: one connection, kept open between requests, one request
/// at a time. Not thread safe. What comes back is bounded: 64 KiB of header, 64 MiB of body.
class Client {
 public:
  explicit Client(std::string socket_path);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Sends a request and waits for its answer, connecting first if need be. An answer with an error
  /// status is a Response, not a Failure. Failures: kUnreachable (nobody listens, no answer in
  /// time, connection lost), kInterrupted (SIGINT while waiting; the connection is closed, by which
  /// sockd knows to cancel a call), kInternal (the answer is not HTTP, or larger than the bounds).
  [[nodiscard]] Outcome<Response> exchange(const Request& request);

  [[nodiscard]] const std::string& socket_path() const { return socket_path_; }

 private:
  struct Connection;

  std::string socket_path_;
  std::unique_ptr<Connection> connection_;
};

/// One segment of a path with everything but letters, digits, "-", "_", "." and "~" as %XX.
[[nodiscard]] std::string encode_segment(std::string_view segment);

}  // namespace sock::cli
