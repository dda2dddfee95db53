#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>

#include "manager/calls/call_protocol.h"
#include "manager/calls/clone.h"

namespace sock::manager {

/// Requests that sockd makes for its own sake, to a clone that no caller's call will use: its
/// sandbox is killed at the deadline, and the answer is as hostile as any.

/// Sends one request and waits for the answer, of at most `limit` bytes.
[[nodiscard]] boost::asio::awaitable<Result<CallReply>> run_errand(
    Clone& clone, zygote::FrameType type, const Function* function, CallParts parts,
    std::uint64_t limit, Millis timeout);

}  // namespace sock::manager
