#include "cli/exit_code.h"

#include <algorithm>
#include <array>

namespace sock::cli {
namespace {

struct Named {
  std::string_view code;
  ExitCode exit;
};

constexpr std::array<Named, 10> kByCode = {{
    {"app_error", ExitCode::kAppError},
    {"timeout", ExitCode::kTimeout},
    {"oom", ExitCode::kKilled},
    {"killed", ExitCode::kKilled},
    {"rejected", ExitCode::kRejected},
    {"draining", ExitCode::kRejected},
    {"invalid", ExitCode::kInvalid},
    {"not_found", ExitCode::kNotFound},
    {"conflict", ExitCode::kConflict},
    {"internal", ExitCode::kInternal},
}};

ExitCode by_status(unsigned status) {
  switch (status) {
    case 404:
      return ExitCode::kNotFound;
    case 409:
      return ExitCode::kConflict;
    case 422:
      return ExitCode::kInvalid;
    case 429:
    case 503:
      return ExitCode::kRejected;
    case 502:
      return ExitCode::kAppError;
    case 504:
      return ExitCode::kTimeout;
    default:
      return ExitCode::kInternal;
  }
}

}  // namespace

std::string_view to_string(ExitCode code) {
  switch (code) {
    case ExitCode::kOk:
      return "ok";
    case ExitCode::kAppError:
      return "app_error";
    case ExitCode::kUsage:
      return "usage";
    case ExitCode::kUnreachable:
      return "unreachable";
    case ExitCode::kNotFound:
      return "not_found";
    case ExitCode::kConflict:
      return "conflict";
    case ExitCode::kRejected:
      return "rejected";
    case ExitCode::kInvalid:
      return "invalid";
    case ExitCode::kTimeout:
      return "timeout";
    case ExitCode::kInternal:
      return "internal";
    case ExitCode::kInterrupted:
      return "interrupted";
    case ExitCode::kKilled:
      return "killed";
  }
  return "internal";
}

ExitCode exit_code_for(unsigned status, std::string_view code) {
  if (status == 400 || status == 413 || status == 431) return ExitCode::kUsage;
  const auto* const named = std::find_if(kByCode.begin(), kByCode.end(),
                                         [&](const Named& entry) { return entry.code == code; });
  return named != kByCode.end() ? named->exit : by_status(status);
}

}  // namespace sock::cli
