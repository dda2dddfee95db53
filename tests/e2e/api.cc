#include "tests/e2e/api.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "tests/e2e/path.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

cli::Request request_for(const char* method, std::string target) {
  cli::Request request;
  request.method = method;
  request.target = std::move(target);
  request.timeout = Millis(90'000);
  return request;
}

const boost::json::value* field(const boost::json::value& value, const char* key) {
  const auto* const object = value.if_object();
  return object != nullptr ? object->if_contains(key) : nullptr;
}

/// Deploy options that ask for a function zygote; those that are not an object stay as they are.
std::string with_function_zygote(const std::string& options) {
  boost::json::error_code error;
  auto value = boost::json::parse(options, error);
  if (error || !value.is_object()) return options;
  value.get_object().emplace("keep_ready", 1);
  return boost::json::serialize(value);
}

}  // namespace

std::string Reply::text(const char* key) const {
  const auto* const found = field(document, key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
}

std::int64_t Reply::number(const char* key) const {
  const auto* const found = field(document, key);
  return found != nullptr && found->is_int64() ? found->get_int64() : -1;
}

std::string Reply::header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? "" : found->second;
}

Reply Api::send(cli::Request request) {
  auto response = client_.exchange(request);
  if (!response) return {0, response.error().message, {}, {}};
  Reply reply{response->status, std::move(response->body), std::move(response->headers), {}};
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 1024;
  reply.document = boost::json::parse(reply.body, error, {}, options);
  if (error) reply.document = nullptr;
  return reply;
}

Reply Api::get(const std::string& target) { return send(request_for("GET", target)); }

Reply Api::remove(const std::string& function) {
  return send(request_for("DELETE", "/v1/functions/" + function));
}

Reply Api::deploy(const std::string& function, const std::string& source,
                  const std::string& options) {
  return deploy_bundle(function, source, "text/x-python", options);
}

Reply Api::deploy_bundle(const std::string& function, const std::string& bytes,
                         const std::string& content_type, const std::string& options) {
  const bool own_zygote = path() == Path::kFunction;
  cli::Request request = request_for("PUT", "/v1/functions/" + function);
  request.body = bytes;
  request.content_type = content_type;
  request.headers = {{"X-Sock-Options", own_zygote ? with_function_zygote(options) : options}};
  Reply reply = send(std::move(request));
  if (own_zygote && (reply.status == 200 || reply.status == 201))
    (void)wait_for_function_zygote(function);
  return reply;
}

Reply Api::invoke(const std::string& function, const std::string& event) {
  if (path() == Path::kFunction && !function_zygote(function).empty()) {
    (void)wait_for_function_zygote(function);
  }
  cli::Request request = request_for("POST", "/v1/functions/" + function + "/invoke");
  request.body = event;
  request.content_type = "application/json";
  return send(std::move(request));
}

boost::json::object Api::function_zygote(const std::string& function) {
  const Reply reply = get("/v1/zygotes");
  const auto* const list = field(reply.document, "functions");
  if (list == nullptr || !list->is_array()) return {};
  for (const auto& entry : list->get_array()) {
    if (entry.at("function").as_string() == function) return entry.as_object();
  }
  return {};
}

bool Api::wait_for_function_zygote(const std::string& function) {
  bool ready = false;
  const auto decided = [&] {
    const auto zygote = function_zygote(function);
    if (zygote.empty()) return false;
    ready = zygote.at("state").as_string() == "ready" && zygote.at("parked").to_number<int>() > 0;
    return ready || zygote.at("state").as_string() == "failed";
  };
  return eventually(decided, Millis(20'000)) && ready;
}

boost::json::object Api::netns_class(const char* network) {
  const Reply reply = get("/v1/netns");
  const auto* document = reply.document.if_object();
  const auto* classes = document ? document->if_contains("classes") : nullptr;
  if (classes == nullptr || !classes->is_array()) return {};
  for (const auto& each : classes->get_array()) {
    const auto* pool = each.if_object();
    const auto* name = pool ? pool->if_contains("class") : nullptr;
    if (name && *name == boost::json::value(network)) return *pool;
  }
  return {};
}

std::int64_t Api::netns_count(const char* network, const char* key) {
  const auto pool = netns_class(network);
  const auto* value = pool.if_contains(key);
  return value && value->is_int64() ? value->get_int64() : -1;
}

}  // namespace sock::e2e
