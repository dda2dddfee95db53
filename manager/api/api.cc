#include "manager/api/api.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "manager/api/api_json.h"
#include "manager/functions/function_json.h"
#include "manager/functions/function_options.h"

namespace sock::manager {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Bodies of requests that should have none.
constexpr std::size_t kNoBodyLimit = 64 << 10;

HttpResponse reply(unsigned status, std::string body) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

HttpResponse reply(const json::object& object) { return reply(200, json::serialize(object)); }

HttpResponse failure(unsigned status, const Error& error) {
  HttpResponse response = reply(status, error_json(error));
  if (status == 429) response.headers = "Retry-After: 1\r\n";
  return response;
}

HttpResponse failure(const Error& error) { return failure(status_of(error.code), error); }

HttpResponse failure(unsigned status, Code code, std::string message) {
  return failure(status, Error{code, {}, 0, std::move(message)});
}

HttpResponse no_such_path() {
  return failure(404, Code::kNotFound, "there is nothing at this path");
}

HttpResponse impossible_name(bool deploying) {
  std::string message =
      "no function can have this name: names are 1 to 64 of a-z 0-9 _ . - and start with a letter "
      "or digit";
  return deploying ? failure(422, Code::kInvalid, std::move(message))
                   : failure(404, Code::kNotFound, std::move(message));
}

Code code_of(unsigned status) {
  switch (status) {
    case 404:
      return Code::kNotFound;
    case 408:
      return Code::kTimeout;
    case 429:
      return Code::kRejected;
    case 500:
      return Code::kInternal;
    case 503:
      return Code::kDraining;
    default:
      return Code::kInvalid;
  }
}

bool takes_function_name(Resource resource) {
  return resource == Resource::kFunction || resource == Resource::kInvoke ||
         resource == Resource::kFunctionCalls;
}

bool allows(std::string_view methods, std::string_view method) {
  while (!methods.empty()) {
    const std::size_t comma = methods.find(',');
    if (methods.substr(0, comma) == method) return true;
    if (comma == std::string_view::npos) break;
    methods.remove_prefix(comma + 2);
  }
  return false;
}

/// {"packages":["numpy","pandas==1.5.3"]}
Result<std::vector<std::string>> read_set(std::string_view body) {
  constexpr std::size_t kMost = 500;
  const auto refuse = [] {
    return fail(
        Code::kInvalid, {},
        "the body must be {\"packages\":[\"NAME\", \"NAME==VERSION\", …]}, with at least one");
  };
  json::error_code error;
  const json::value value = json::parse(body, error);
  const json::value* const packages =
      !error && value.is_object() ? value.get_object().if_contains("packages") : nullptr;
  if (packages == nullptr || !packages->is_array()) return refuse();
  std::vector<std::string> set;
  for (const json::value& name : packages->get_array()) {
    if (!name.is_string() || set.size() == kMost) return refuse();
    set.emplace_back(name.get_string());
  }
  if (set.empty()) return refuse();
  return set;
}

std::string call_headers(const std::string& id, const CallRecord& call) {
  std::string headers;
  headers.reserve(128);
  headers.append("X-Sock-Request-Id: ").append(id);
  headers.append("\r\nX-Sock-Start: ").append(to_string(call.start));
  headers.append("\r\nX-Sock-Duration-Us: ").append(std::to_string(call.total_us));
  headers.append("\r\n");
  return headers;
}

}  // namespace

std::size_t Api::body_limit(const HttpRequest& head) const {
  const Route route = route_of(head.target);
  if (route.resource == Resource::kInvoke) return limits_.event;
  if (route.resource == Resource::kFunction && head.method == "PUT") return limits_.bundle;
  return kNoBodyLimit;
}

asio::awaitable<HttpResponse> Api::handle(HttpRequest& request) {
  Route route = route_of(request.target);
  if (route.resource == Resource::kUnknown) co_return no_such_path();
  const std::string_view methods = allowed_methods(route.resource);
  if (!allows(methods, request.method)) {
    HttpResponse response = failure(405, Code::kInvalid, "this path does not take this method");
    response.headers.append("Allow: ").append(methods).append("\r\n");
    co_return response;
  }
  const bool put = request.method == "PUT";
  if (takes_function_name(route.resource) && !is_function_name(route.key)) {
    co_return impossible_name(put);
  }
  const bool of_call = route.resource == Resource::kCall || route.resource == Resource::kCallLogs;
  if (of_call && !is_request_id(route.key)) {
    co_return failure(404, Code::kNotFound, "no call can have this id");
  }

  HttpResponse response;
  switch (route.resource) {
    case Resource::kUnknown:
      response = no_such_path();
      break;
    case Resource::kInvoke:
      response = co_await invoke(std::move(route.key), request);
      break;
    case Resource::kFunction:
      if (put) {
        response = co_await deploy(std::move(route.key), request);
      } else if (request.method == "DELETE") {
        response = co_await remove(std::move(route.key));
      } else {
        response = show_function(route.key);
      }
      break;
    case Resource::kFunctions:
      response = list_functions();
      break;
    case Resource::kFunctionCalls:
      response = list_calls(route.key);
      break;
    case Resource::kCall:
      response = co_await show_call(std::move(route.key), false);
      break;
    case Resource::kCallLogs:
      response = co_await show_call(std::move(route.key), true);
      break;
    case Resource::kHealth:
      response = reply(service_.health());
      break;
    case Resource::kZygotes:
      response = reply(service_.zygotes());
      break;
    case Resource::kNetns:
      response = reply(service_.netns());
      break;
    case Resource::kPackages:
      response = reply(service_.packages());
      break;
    case Resource::kWarm:
    case Resource::kCool:
      response = co_await keep_warm(route.resource == Resource::kWarm, request);
      break;
    case Resource::kDoctor:
      response = reply(service_.doctor());
      break;
    case Resource::kMetrics:
      response = show_metrics();
      break;
  }
  co_return response;
}

HttpResponse Api::refuse(unsigned status, std::string_view message) const {
  return failure(status, code_of(status), std::string(message));
}

asio::awaitable<HttpResponse> Api::invoke(std::string function, HttpRequest& request) {
  std::string event = std::move(request.body);
  if (event.empty()) event = "{}";
  if (auto valid = check_.check(event); !valid) co_return failure(400, valid.error());
  const std::string id = ids_.next();
  request.on_gone = [this, id]() { service_.cancel(id); };
  CallRecord call = co_await service_.invoke(id, std::move(function), std::move(event));
  HttpResponse response;
  response.headers = call_headers(id, call);
  if (!call.error) {
    response.body = std::move(call.result);
    co_return response;
  }
  response.status = status_of(call.error->code);
  response.body = error_json(*call.error, id, check_);
  if (response.status == 429) response.headers.append("Retry-After: 1\r\n");
  co_return response;
}

asio::awaitable<HttpResponse> Api::deploy(std::string name, HttpRequest& request) {
  DeployRequest deployment;
  deployment.name = std::move(name);
  deployment.content_type = std::move(request.content_type);
  deployment.bundle = std::move(request.body);
  if (!request.options.empty()) {
    json::error_code error;
    json::value options = json::parse(request.options, error);
    if (error || !options.is_object()) {
      const std::string why = error ? error.message() : "it is another kind of value";
      co_return failure(400, Code::kInvalid, "X-Sock-Options must be a JSON object: " + why);
    }
    deployment.options = std::move(options.get_object());
  }
  const Result<Function> deployed = co_await service_.deploy(std::move(deployment));
  if (!deployed) co_return failure(deployed.error());
  co_return reply(deployed->generation == 1 ? 201 : 200, json::serialize(to_json(*deployed)));
}

asio::awaitable<HttpResponse> Api::remove(std::string name) {
  const Result<> removed = co_await service_.remove(name);
  if (!removed) co_return failure(removed.error());
  co_return reply(json::object{{"removed", name}});
}

asio::awaitable<HttpResponse> Api::keep_warm(bool warm, HttpRequest& request) {
  auto set = read_set(request.body);
  if (!set) co_return failure(400, set.error());
  json::array names(set->begin(), set->end());
  Result<> done;
  if (warm) {
    done = co_await service_.warm(std::move(*set));
  } else {
    done = co_await service_.cool(std::move(*set));
  }
  if (!done) co_return failure(done.error());
  co_return reply(json::object{{warm ? "warm" : "cooled", std::move(names)}});
}

asio::awaitable<HttpResponse> Api::show_call(std::string id, bool only_logs) {
  const Result<CallRecord> call = co_await service_.call(std::move(id));
  if (!call) co_return failure(call.error());
  HttpResponse response;
  if (only_logs) {
    response.content_type = "text/plain; charset=utf-8";
    response.body = repair_utf8(call->logs);
  } else {
    response.body = call_json(*call, check_);
  }
  co_return response;
}

HttpResponse Api::list_functions() {
  json::array functions;
  for (const Function& function : service_.list()) functions.push_back(to_json(function));
  return reply(json::object{{"functions", std::move(functions)}});
}

HttpResponse Api::show_function(const std::string& name) {
  const Result<Function> function = service_.describe(name);
  if (!function) return failure(function.error());
  return reply(to_json(*function));
}

HttpResponse Api::list_calls(const std::string& function) {
  const auto ids = service_.recent_calls(function);
  if (!ids) return failure(ids.error());
  return reply(json::object{{"calls", json::array(ids->begin(), ids->end())}});
}

HttpResponse Api::show_metrics() {
  HttpResponse response;
  response.content_type = "text/plain; version=0.0.4";
  response.body = service_.metrics();
  return response;
}

}  // namespace sock::manager
