#include "manager/calls/verdict.h"

#include <signal.h>
#include <string.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <string_view>

#include "manager/settings/units.h"

namespace sock::manager {

namespace json = boost::json;

namespace {

constexpr int kTimeoutExit = 124;  // as timeout(1)
constexpr int kSignalBase = 128;   // as sh(1)

void set_error(CallRecord& record, int exit_code, CallError error) {
  record.exit_code = exit_code;
  record.error = std::move(error);
}

void set_error(CallRecord& record, int exit_code, Code code, std::string type,
               std::string message) {
  set_error(record, exit_code, CallError{code, std::move(type), std::move(message), {}});
}

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

void judge(CallRecord& record, Ending ending, const Obituary& obituary, Millis timeout,
           std::uint64_t memory_bytes, const std::string& detail) {
  if (ending == Ending::kTimeout) {
    return set_error(record, kTimeoutExit, Code::kTimeout, "Sandbox.Timeout",
                     "the call took longer than " + format_duration(timeout));
  }
  if (ending == Ending::kCancelled) {
    return set_error(record, kSignalBase + SIGKILL, Code::kKilled, "Sandbox.Cancelled",
                     "the client went away before the call was done");
  }
  if (ending == Ending::kBadReply) {
    return set_error(record, 1, Code::kAppError, "Runtime.BadReply", detail);
  }
  if (obituary.usage.oom_kills > 0) {
    return set_error(record, kSignalBase + SIGKILL, Code::kOom, "Sandbox.OutOfMemory",
                     "the call needed more memory than its limit of " + format_size(memory_bytes));
  }
  if (!obituary.exit) {
    return set_error(record, 125, Code::kInternal, "Sandbox.Lost", "the sandbox did not die");
  }
  const Exit& exit = *obituary.exit;
  if (exit.signalled) {
    const char* name = sigabbrev_np(exit.status);
    return set_error(record, kSignalBase + exit.status, Code::kKilled, "Sandbox.Killed",
                     "the handler was killed by signal " + std::to_string(exit.status) +
                         (name != nullptr ? std::string(" (SIG") + name + ")" : std::string()));
  }
  set_error(record, exit.status, Code::kKilled, "Runtime.ExitError",
            "the handler's process exited with status " + std::to_string(exit.status) +
                " before it answered");
}

void judge_exception(CallRecord& record, const std::string& text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_object()) {
    return set_error(record, 1, Code::kAppError, "Runtime.BadReply",
                     "the sandbox reported an exception that cannot be read");
  }
  const json::object& object = value.get_object();
  CallError raised{
      Code::kAppError, text_of(object, "errorType"), text_of(object, "errorMessage"), {}};
  if (raised.type.empty()) raised.type = "Exception";
  const auto* trace = object.if_contains("stackTrace");
  if (trace != nullptr && trace->is_array()) raised.stack_trace = json::serialize(*trace);
  set_error(record, 1, std::move(raised));
}

}  // namespace sock::manager
