#pragma once

#include <string_view>

namespace sock::cli {

/// What sockctl tells the shell. A handler killed by signal N gives 128+N.
enum class ExitCode : int {
  kOk = 0,
  kAppError = 1,     ///< the handler raised
  kUsage = 2,        ///< the command line, or what it points at, is wrong
  kUnreachable = 3,  ///< nobody answers on the socket
  kNotFound = 4,
  kConflict = 5,
  kRejected = 6,  ///< busy or draining; try again later
  kInvalid = 7,   ///< the function or one of its dependencies is wrong
  kTimeout = 124,
  kInternal = 125,  ///< sock's own failure
  kInterrupted = 130,
  kKilled = 137,  ///< out of memory, or killed
};

/// Stable word for an exit code, as in the `code` field of the API's errors; the ones the API
/// does not have are "usage", "unreachable" and "interrupted".
[[nodiscard]] std::string_view to_string(ExitCode code);

/// The exit code for an answer with an error: by its `code` field, or by the HTTP status when
/// that is missing or unknown. A malformed or oversized request (400, 413) is a usage error.
[[nodiscard]] ExitCode exit_code_for(unsigned status, std::string_view code);

}  // namespace sock::cli
