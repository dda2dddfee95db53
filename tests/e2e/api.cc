#include "tests/e2e/api.h"

#include <boost/json/parse.hpp>

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
  cli::Request request = request_for("PUT", "/v1/functions/" + function);
  request.body = bytes;
  request.content_type = content_type;
  request.headers = {{"X-Sock-Options", options}};
  return send(std::move(request));
}

Reply Api::invoke(const std::string& function, const std::string& event) {
  cli::Request request = request_for("POST", "/v1/functions/" + function + "/invoke");
  request.body = event;
  request.content_type = "application/json";
  return send(std::move(request));
}

}  // namespace sock::e2e
