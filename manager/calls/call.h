#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// Where the sandbox of a call came from.
enum class Start {
  kNone,    ///< it never got one
  kParked,  ///< a clone that was waiting
  kClone,   ///< cloned on demand from a zygote holding all of its packages
  kCold,    ///< cloned from a zygote that lacked some; the rest was imported in the sandbox
};

[[nodiscard]] std::string_view to_string(Start start);  // "none", "parked", "clone", "cold"

/// Why a call produced no result.
struct CallError {
  Code code = Code::kInternal;
  std::string type;  ///< "ValueError", "Sandbox.Timeout", …
  std::string message;
  std::string stack_trace;  ///< JSON array of strings; empty when there is none
};

/// Everything known of one call. Complete once `settled`: the reply goes out before the
/// sandbox has been torn down and accounted.
struct CallRecord {
  std::string id;  ///< UUID
  std::string function;
  std::uint64_t generation = 0;
  std::string zygote;          ///< packages of the zygote that served it, comma separated
  std::string zygote_id = {};  ///< its id in the tree; empty for a function's own zygote
  Start start = Start::kNone;
  std::int64_t started_at = 0;      ///< seconds since the epoch
  std::int64_t queue_us = 0;        ///< waiting for admission
  std::int64_t create_us = 0;       ///< obtaining the sandbox and attaching the function
  std::int64_t init_us = 0;         ///< loading the handler module
  std::int64_t run_us = 0;          ///< inside the handler
  std::int64_t total_us = 0;        ///< request parsed to reply ready
  std::uint64_t max_rss_bytes = 0;  ///< peak memory of the sandbox
  std::uint64_t cpu_us = 0;
  int exit_code = 0;   ///< as a shell reports it: 128+N for signal N
  std::string result;  ///< JSON text when there is no error
  std::optional<CallError> error;
  std::string logs;
  bool logs_truncated = false;
  bool settled = false;
};

}  // namespace sock::manager
