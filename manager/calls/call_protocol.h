#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "manager/functions/function.h"
#include "zygote/wire.h"

namespace sock::manager {

/// What a sandbox answered. Hostile until checked: the JSON is only known to be of bounded length.
struct CallReply {
  bool succeeded = false;
  std::int64_t init_us = 0;  ///< by the sandbox's own clock; negative values are made 0
  std::int64_t run_us = 0;
  std::string json;  ///< the result, or {"errorType","errorMessage","stackTrace"}
};

/// What a clone is asked to do; views must outlive the sending.
struct CallParts {
  std::string_view id;
  std::string_view event;
  std::string_view code;              ///< the handler's module, compiled; may be empty
  std::string_view search_path = {};  ///< sys.path, a NUL after each; empty: as the zygote has it
};

/// Sends one request to a parked clone; without a function, a trial of the runtime's own work.
/// Fails when the sandbox dies meanwhile.
[[nodiscard]] boost::asio::awaitable<Result<>> send_call(
    boost::asio::posix::stream_descriptor& connection, zygote::FrameType type,
    const Function* function, CallParts parts, Clock::time_point deadline);

/// Reads its one reply. kInvalid for a malformed or too long one, kKilled when the sandbox ended
/// without any. Waits for as long as the sandbox lives: whoever enforces the deadline kills it.
[[nodiscard]] boost::asio::awaitable<Result<CallReply>> read_reply(
    boost::asio::posix::stream_descriptor& connection, std::uint64_t result_limit);

}  // namespace sock::manager
