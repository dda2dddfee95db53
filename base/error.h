#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>

namespace sock {

/// What kind of failure a caller is looking at. The names are those of the HTTP API's `code`.
enum class Code {
  kAppError,  ///< the handler raised
  kTimeout,   ///< a deadline passed
  kOom,       ///< the kernel killed it for its memory limit
  kKilled,    ///< it died by a signal, or left without an answer
  kRejected,  ///< no capacity now; try again later
  kInvalid,   ///< the input is wrong
  kNotFound,  ///< no such object
  kConflict,  ///< the object exists or changed meanwhile
  kDraining,  ///< the daemon is shutting down
  kInternal,  ///< sock's own failure
};

/// "app_error", "timeout", …: stable, machine readable.
[[nodiscard]] std::string_view to_string(Code code);

/// A failure on the parent's side. `message` says what failed and on which object.
struct Error {
  Code code = Code::kInternal;
  std::string step;   ///< stage that failed, e.g. "clone" or "attach cgroup"
  int sys_errno = 0;  ///< 0 when no system call was involved
  std::string message;

  /// One line for a person: "step: message: strerror".
  [[nodiscard]] std::string describe() const;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// An error that no system call caused.
[[nodiscard]] std::unexpected<Error> fail(Code code, std::string_view step, std::string message);

/// An internal error from a system call; takes errno unless told otherwise.
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view step, std::string message,
                                                int sys_errno = errno);

}  // namespace sock
