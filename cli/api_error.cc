#include "cli/api_error.h"

#include <boost/json/array.hpp>

#include "cli/fields.h"
#include "cli/json_text.h"
#include "cli/terminal.h"

namespace sock::cli {
namespace {

constexpr std::size_t kShownBody = 200;

std::string advice_for(const Response& response, ExitCode exit) {
  if (exit != ExitCode::kRejected) return {};
  const std::string seconds = response.header("retry-after");
  if (seconds.empty()) return "; try again later";
  return "; try again in " + printable(seconds, Lines::kOne) + " s";
}

}  // namespace

std::string traceback_of(const boost::json::object& error) {
  const std::string type = printable(text_of(error, "errorType"), Lines::kOne);
  const std::string message = printable(text_of(error, "errorMessage"), Lines::kMany);
  std::string out;
  const boost::json::array& frames = array_of(error, "stackTrace");
  if (!frames.empty()) out = "Traceback (most recent call last):\n";
  for (const auto& frame : frames) {
    const std::string text = printable(text_of(frame), Lines::kMany);
    if (!text.starts_with("  ")) out += "  ";
    out += text;
    if (out.back() != '\n') out += '\n';
  }
  out += type.empty() ? "Error" : type;
  if (!message.empty()) out += ": " + message;
  return out;
}

Failure failure_of(const Response& response) {
  Failure failure;
  auto error = parse_object(response.body, "the error");
  if (!error) {
    const ExitCode exit = exit_code_for(response.status, {});
    failure.exit = static_cast<int>(exit);
    failure.message = "HTTP status " + std::to_string(response.status) +
                      advice_for(response, exit) + ": " +
                      printable(response.body.substr(0, kShownBody), Lines::kOne);
    return failure;
  }
  const std::string code = text_of(*error, "code");
  const ExitCode exit = exit_code_for(response.status, code);
  failure.exit = static_cast<int>(exit);
  failure.json = response.body;
  if (exit == ExitCode::kAppError) {
    failure.detail = traceback_of(*error);
    failure.message = "the handler raised " + printable(text_of(*error, "errorType"), Lines::kOne);
  } else {
    if (!array_of(*error, "stackTrace").empty()) failure.detail = traceback_of(*error);
    failure.message = printable(text_of(*error, "errorMessage"), Lines::kMany);
    if (failure.message.empty()) failure.message = printable(response.body, Lines::kOne);
    failure.message = (code.empty() ? std::string(to_string(exit)) : printable(code, Lines::kOne)) +
                      ": " + failure.message + advice_for(response, exit);
  }
  return failure;
}

Outcome<boost::json::object> object_of_answer(const Response& response, std::string_view what) {
  if (!response.ok()) return std::unexpected(failure_of(response));
  return parse_object(response.body, what);
}

}  // namespace sock::cli
