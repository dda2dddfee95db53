#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace sock::bench {

/// What came back from one call.
struct Answer {
  unsigned status = 0;
  std::string id;     ///< X-Sock-Request-Id
  std::string start;  ///< X-Sock-Start
  std::string body;
  std::int64_t micros = 0;  ///< from before the request was sent to the whole answer read
};

/// One HTTP connection to sockd that stays open. Blocking and without a library in between: at tens
/// of microseconds a call the client's own work would show. Not thread safe.
class KeptConnection {
 public:
  [[nodiscard]] static Result<KeptConnection> open(const std::string& socket);

  /// Invokes a function; any status is an answer. After an error the connection is of no more use.
  /// kTimeout when nothing comes for a minute.
  [[nodiscard]] Result<Answer> invoke(const std::string& function, const std::string& event);

 private:
  explicit KeptConnection(Fd fd) : fd_(std::move(fd)) {}

  Result<> send(const std::string& request);
  Result<> receive();

  Fd fd_;
  std::string input_;
};

}  // namespace sock::bench
