#include "cli/doctor.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <ostream>

#include "cli/api_error.h"
#include "cli/fields.h"
#include "cli/json_text.h"
#include "cli/subprocess.h"
#include "cli/terminal.h"

namespace sock::cli {
namespace {

constexpr std::size_t kMaxOutput = 1U << 20U;
constexpr Millis kTimeout{30'000};

/// The report as JSON text, from sockd or from a sockd run for it.
Outcome<std::string> fetch_report(Context& context) {
  Request request;
  request.method = "GET";
  request.target = "/v1/doctor";
  auto response = context.client.exchange(request);
  if (response) {
    if (!response->ok()) return std::unexpected(failure_of(*response));
    return std::move(response->body);
  }
  if (response.error().exit != static_cast<int>(ExitCode::kUnreachable)) {
    return std::unexpected(response.error());
  }
  const std::string sockd = context.program_folder + "/sockd";
  auto output = output_of(sockd, {"--doctor"}, kMaxOutput, kTimeout);
  if (output && !output->empty()) {
    context.console.err << "sockctl: sockd is not running; checked by " << sockd << " --doctor\n";
    return std::move(*output);
  }
  std::string message = response.error().message;
  message += output ? "; and " + sockd + " --doctor wrote nothing"
                    : "; and it cannot be asked directly: " + output.error().describe();
  return fail(ExitCode::kUnreachable, message);
}

}  // namespace

Outcome<int> doctor(Context& context) {
  auto text = fetch_report(context);
  if (!text) return std::unexpected(text.error());
  auto report = parse_object(*text, "the doctor's report");
  if (!report) return std::unexpected(report.error());
  const bool healthy = truth_of(*report, "healthy");
  const int exit = healthy ? 0 : 1;
  if (context.format == Format::kJson) {
    print_document(context, *text);
    return exit;
  }
  std::size_t width = 0;
  const auto line = [](const boost::json::object& check, const char* key) {
    return printable(text_of(check, key), Lines::kOne);
  };
  for (const auto& value : array_of(*report, "checks")) {
    if (const auto* const check = value.if_object()) {
      width = std::max(width, width_of(line(*check, "name")));
    }
  }
  for (const auto& value : array_of(*report, "checks")) {
    const auto* const check = value.if_object();
    if (check == nullptr) continue;
    std::string status = line(*check, "status");
    status.resize(std::max<std::size_t>(status.size(), 4), ' ');
    const std::string name = line(*check, "name");
    context.console.out << status << "  " << name << std::string(width - width_of(name), ' ')
                        << "  " << line(*check, "detail") << '\n';
    const std::string advice = line(*check, "advice");
    if (!advice.empty()) {
      context.console.out << std::string(6, ' ') << std::string(width, ' ') << "  → " << advice
                          << '\n';
    }
  }
  context.console.out << (healthy ? "healthy\n" : "not healthy: sockd cannot run sandboxes here\n");
  return exit;
}

}  // namespace sock::cli
