#include "base/error.h"

#include <system_error>

namespace sock {

std::string_view to_string(Code code) {
  switch (code) {
    case Code::kAppError:
      return "app_error";
    case Code::kTimeout:
      return "timeout";
    case Code::kOom:
      return "oom";
    case Code::kKilled:
      return "killed";
    case Code::kRejected:
      return "rejected";
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not_found";
    case Code::kConflict:
      return "conflict";
    case Code::kDraining:
      return "draining";
    case Code::kInternal:
      return "internal";
  }
  return "internal";
}

std::string Error::describe() const {
  std::string out = step;
  if (!out.empty() && !message.empty()) out += ": ";
  out += message;
  if (sys_errno != 0) out += ": " + std::generic_category().message(sys_errno);
  return out;
}

std::unexpected<Error> fail(Code code, std::string_view step, std::string message) {
  return std::unexpected(Error{code, std::string(step), 0, std::move(message)});
}

std::unexpected<Error> fail_errno(std::string_view step, std::string message, int sys_errno) {
  return std::unexpected(Error{Code::kInternal, std::string(step), sys_errno, std::move(message)});
}

}  // namespace sock
