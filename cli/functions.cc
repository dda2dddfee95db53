#include "cli/functions.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <ostream>

#include "cli/api_error.h"
#include "cli/fields.h"
#include "cli/input.h"
#include "cli/table.h"
#include "cli/units.h"

namespace sock::cli {
namespace {

Request function_request(const char* method, const std::string& name) {
  Request request;
  request.method = method;
  request.target = "/v1/functions/" + encode_segment(name);
  return request;
}

}  // namespace

Outcome<int> list_functions(Context& context) {
  Request request;
  request.method = "GET";
  request.target = "/v1/functions";
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  auto answer = object_of_answer(*response, "the list of functions");
  if (!answer) return std::unexpected(answer.error());
  if (context.format == Format::kJson) {
    print_document(context, response->body);
    return 0;
  }
  Table table({{"NAME"},
               {"GEN", Align::kRight},
               {"HANDLER"},
               {"PACKAGES"},
               {"MEMORY", Align::kRight},
               {"TIMEOUT", Align::kRight},
               {"CODE", Align::kRight},
               {"DEPLOYED"}});
  for (const auto& value : array_of(*answer, "functions")) {
    const auto* const function = value.if_object();
    if (function == nullptr) continue;
    table.add({text_of(*function, "name"), text_of(*function, "generation"),
               text_of(*function, "handler"), or_dash(joined(array_of(*function, "packages"), " ")),
               text_of(*function, "memory"), text_of(*function, "timeout"),
               human_bytes(integer_of(*function, "code_bytes")),
               human_time(integer_of(*function, "deployed_at"))});
  }
  table.print(context.console.out);
  return 0;
}

Outcome<int> show_function(Context& context, const Response& response) {
  auto answer = object_of_answer(response, "the function");
  if (!answer) return std::unexpected(answer.error());
  if (context.format == Format::kJson) {
    print_document(context, response.body);
    return 0;
  }
  std::string environment;
  for (const auto& variable : object_of(*answer, "env")) {
    if (!environment.empty()) environment += ' ';
    environment +=
        std::string(variable.key().data(), variable.key().size()) + '=' + text_of(variable.value());
  }
  print_pairs(context.console.out,
              {{"Name", text_of(*answer, "name")},
               {"Generation", text_of(*answer, "generation")},
               {"Handler", text_of(*answer, "handler")},
               {"Requirements", or_dash(joined(array_of(*answer, "requirements"), ", "))},
               {"Packages", or_dash(joined(array_of(*answer, "packages"), " "))},
               {"Memory", text_of(*answer, "memory")},
               {"Timeout", text_of(*answer, "timeout")},
               {"CPU", text_of(*answer, "cpu")},
               {"Pids", text_of(*answer, "pids")},
               {"Tmp", text_of(*answer, "tmp")},
               {"Network", text_of(*answer, "network")},
               {"Allow", or_dash(joined(array_of(*answer, "allow"), ", "))},
               {"Environment", or_dash(std::move(environment))},
               {"Keep ready", text_of(*answer, "keep_ready")},
               {"Code", human_bytes(integer_of(*answer, "code_bytes"))},
               {"SHA-256", text_of(*answer, "sha256")},
               {"Deployed", human_time(integer_of(*answer, "deployed_at"))}});
  return 0;
}

Outcome<int> describe_function(Context& context, const std::string& name) {
  if (auto good = check_name(name); !good) return std::unexpected(good.error());
  auto response = context.client.exchange(function_request("GET", name));
  if (!response) return std::unexpected(response.error());
  return show_function(context, *response);
}

Outcome<int> remove_function(Context& context, const std::string& name) {
  if (auto good = check_name(name); !good) return std::unexpected(good.error());
  auto response = context.client.exchange(function_request("DELETE", name));
  if (!response) return std::unexpected(response.error());
  if (!response->ok()) return std::unexpected(failure_of(*response));
  if (context.format == Format::kJson) {
    print_document(context, boost::json::serialize(boost::json::object{{"removed", name}}));
  } else {
    context.console.err << "removed " << name << '\n';
  }
  return 0;
}

}  // namespace sock::cli
