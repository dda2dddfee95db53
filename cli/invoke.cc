#include "cli/invoke.h"

#include <ostream>

#include "cli/api_error.h"
#include "cli/fields.h"
#include "cli/input.h"
#include "cli/json_text.h"
#include "cli/terminal.h"
#include "cli/units.h"

namespace sock::cli {
namespace {

/// A backstop only: sockd ends every call at its function's timeout.
constexpr Millis kInvokeTimeout{3'600'000};
constexpr std::int64_t kFirstSignalExit = 129;
constexpr std::int64_t kLastSignalExit = 192;

struct Record {
  std::string text;
  boost::json::object fields;
};

/// What sockd wrote down about the call; waits there until the sandbox is accounted for.
Outcome<Record> fetch_record(Context& context, const std::string& id) {
  Request request;
  request.method = "GET";
  request.target = "/v1/calls/" + encode_segment(id);
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  auto fields = object_of_answer(*response, "the call's record");
  if (!fields) return std::unexpected(fields.error());
  return Record{std::move(response->body), std::move(*fields)};
}

std::string request_id_of(const Response& response) {
  std::string id = response.header("x-sock-request-id");
  if (!id.empty() || response.ok()) return id;
  auto error = parse_object(response.body, "the error");
  return error ? text_of(*error, "requestId") : std::string();
}

bool is_killed(const Response& response) {
  auto error = parse_object(response.body, "the error");
  return error && text_of(*error, "code") == "killed";
}

/// Whether there can be any output: the call got as far as a sandbox.
bool has_run(const Failure& failure) {
  const auto exit = static_cast<ExitCode>(failure.exit);
  return exit == ExitCode::kAppError || exit == ExitCode::kTimeout || exit == ExitCode::kKilled;
}

void print_log_of(Console& console, const boost::json::object& record) {
  print_log(console.err, console.err_is_terminal, text_of(record, "logs"));
  if (truth_of(record, "logs_truncated")) {
    console.err << "sockctl: the log was longer than sockd keeps; its end is missing\n";
  }
}

}  // namespace

std::string report_line(const boost::json::object& record) {
  const auto text = [&](const char* key) { return printable(text_of(record, key), Lines::kOne); };
  const auto time = [&](const char* key) { return human_micros(integer_of(record, key)); };
  std::string line = "REPORT RequestId: " + text("id") + "  Status: " + text("status") +
                     "  Start: " + text("start") + "  Duration: " + time("run_us") +
                     "  Init: " + time("init_us") + "  Create: " + time("create_us") +
                     "  Queue: " + time("queue_us") + "  Total: " + time("total_us") +
                     "  CPU: " + time("cpu_us") +
                     "  Max Memory Used: " + human_bytes(integer_of(record, "max_rss"));
  return line;
}

Outcome<int> invoke(Context& context, const InvokeOptions& options) {
  if (auto good = check_name(options.name); !good) return std::unexpected(good.error());
  auto event = read_event(options.data, options.file, context.console);
  if (!event) return std::unexpected(event.error());

  Request request;
  request.method = "POST";
  request.target = "/v1/functions/" + encode_segment(options.name) + "/invoke";
  request.body = std::move(*event);
  request.content_type = "application/json";
  request.timeout = kInvokeTimeout;
  auto response = context.client.exchange(request);
  if (!response) {
    Failure failure = std::move(response.error());
    if (failure.exit == static_cast<int>(ExitCode::kInterrupted)) {
      failure.message = "interrupted; the call is cancelled";
    }
    return std::unexpected(std::move(failure));
  }

  std::optional<Failure> failure;
  if (!response->ok()) failure = failure_of(*response);
  const bool json = context.format == Format::kJson;
  const bool killed = failure && is_killed(*response);
  const std::string id = request_id_of(*response);
  std::optional<Record> record;
  if (!id.empty() && (options.log || json || killed)) {
    auto fetched = fetch_record(context, id);
    if (fetched) {
      record = std::move(*fetched);
    } else if (!failure) {
      // The call itself went well, so its result must not be lost with the record.
      if (json) return std::unexpected(std::move(fetched.error()));
      context.console.err << "sockctl: no record of call " << printable(id, Lines::kOne) << ": "
                          << fetched.error().message << '\n';
    }
  }
  if (json && !record && !failure) {
    return fail(ExitCode::kInternal, "sockd did not say under which id it ran the call");
  }

  if (options.log && record) print_log_of(context.console, record->fields);
  if (failure) {
    failure->message = options.name + ": " + failure->message;
    if (!id.empty() && has_run(*failure)) {
      failure->message += " (its output: sockctl logs " + printable(id, Lines::kOne) + ")";
    }
    print_failure(context.console, *failure);
  }
  if (json && record) {
    print_document(context, record->text);
  } else if (json) {
    print_failure_document(context, *failure);
  } else if (!failure) {
    print_document(context, response->body);
  }
  if (options.log && record) context.console.err << report_line(record->fields) << '\n';
  if (!failure) return 0;
  if (killed && record) {
    const std::int64_t exit = integer_of(record->fields, "exit");
    if (exit >= kFirstSignalExit && exit <= kLastSignalExit) return static_cast<int>(exit);
  }
  return failure->exit;
}

}  // namespace sock::cli
