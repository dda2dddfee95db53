#include "cli/logs.h"

#include <boost/json/array.hpp>

#include "cli/api_error.h"
#include "cli/fields.h"
#include "cli/input.h"

namespace sock::cli {
namespace {

Outcome<std::string> newest_call(Context& context, const std::string& function) {
  if (auto good = check_name(function); !good) return std::unexpected(good.error());
  Request request;
  request.method = "GET";
  request.target = "/v1/functions/" + encode_segment(function) + "/calls";
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  auto answer = object_of_answer(*response, "the list of calls");
  if (!answer) return std::unexpected(answer.error());
  const boost::json::array& calls = array_of(*answer, "calls");
  if (calls.empty()) {
    return fail(ExitCode::kNotFound,
                "no recent call of '" + function + "'; make one: sockctl invoke " + function);
  }
  return text_of(calls.front());
}

}  // namespace

Outcome<int> show_logs(Context& context, const std::string& name_or_id) {
  Outcome<std::string> id = name_or_id;
  if (!is_request_id(name_or_id)) id = newest_call(context, name_or_id);
  if (!id) return std::unexpected(id.error());
  const bool json = context.format == Format::kJson;
  Request request;
  request.method = "GET";
  request.target = "/v1/calls/" + encode_segment(*id) + (json ? "" : "/logs");
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  if (!response->ok()) return std::unexpected(failure_of(*response));
  if (json) {
    auto record = object_of_answer(*response, "the call's record");
    if (!record) return std::unexpected(record.error());
    print_document(context, response->body);
  } else {
    print_log(context.console.out, context.console.out_is_terminal, response->body);
  }
  return 0;
}

}  // namespace sock::cli
