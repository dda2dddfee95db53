#pragma once

#include <string>

#include "manager/calls/call.h"
#include "manager/calls/undertaker.h"

namespace sock::manager {

/// Why sockd ended a sandbox before its answer, if it did.
enum class Ending { kNone, kTimeout, kCancelled, kBadReply };

/// Fills `record.error` and `record.exit_code` of a call whose sandbox ended without a usable
/// answer, from how it died: the daemon's own reason first, then the kernel's (out of memory),
/// then the process's. `detail` describes a bad reply.
void judge(CallRecord& record, Ending ending, const Obituary& obituary, Millis timeout,
           std::uint64_t memory_bytes, const std::string& detail);

/// Fills `record.error` from the runtime's {"errorType","errorMessage","stackTrace"}, which is
/// hostile input: anything else becomes an error of its own.
void judge_exception(CallRecord& record, const std::string& json);

}  // namespace sock::manager
