#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "manager/api/json_check.h"
#include "manager/calls/call.h"

namespace sock::manager {

/// The JSON that the HTTP API speaks, made from values whose texts may be hostile: every string
/// comes out as valid JSON in valid UTF-8.

/// `text` as UTF-8: each ill-formed sequence becomes one U+FFFD.
[[nodiscard]] std::string repair_utf8(std::string_view text);

/// Appends `text` as a JSON string, quotes included: repaired, control characters and DEL escaped.
void append_json_string(std::string& out, std::string_view text);

/// HTTP status of a failure.
[[nodiscard]] unsigned status_of(Code code);

/// {"errorType","errorMessage","stackTrace":[…],"requestId","code"}. A stack trace that is no JSON
/// array of strings becomes [].
[[nodiscard]] std::string error_json(const CallError& error, std::string_view request_id,
                                     JsonCheck& check);

/// The same for a failure outside of any call: its type is "Sock.NotFound" and the like, its id "".
[[nodiscard]] std::string error_json(const Error& error);

/// {"id","function","generation","status","start","zygote","queue_us","create_us","init_us","run_us",
/// "total_us","max_rss","cpu_us","exit","result","error","logs","logs_truncated"}. "status" is "ok"
/// or the error's code; "result" is embedded as it is (null if it is no valid JSON).
[[nodiscard]] std::string call_json(const CallRecord& call, JsonCheck& check);

}  // namespace sock::manager
