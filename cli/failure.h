#pragma once

#include <expected>
#include <string>

#include "base/error.h"
#include "cli/exit_code.h"

namespace sock::cli {

/// Why a command did not do what was asked, ready to be shown.
struct Failure {
  int exit = static_cast<int>(ExitCode::kInternal);  ///< sockctl's exit status
  std::string message;                               ///< what was wrong and what to do
  std::string detail;  ///< shown as it is before the message: a Python traceback
  std::string json;    ///< the API's error object as received; empty when there is none
};

/// `T`, or why not. On the command line the exit status is the error's identity, so this carries
/// one where `Result` carries a `Code`.
template <class T = void>
using Outcome = std::expected<T, Failure>;

[[nodiscard]] inline std::unexpected<Failure> fail(ExitCode exit, std::string message) {
  return std::unexpected(Failure{static_cast<int>(exit), std::move(message), {}, {}});
}

}  // namespace sock::cli
