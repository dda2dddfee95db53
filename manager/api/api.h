#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "manager/api/api_route.h"
#include "manager/api/http_server.h"
#include "manager/api/json_check.h"
#include "manager/api/request_id.h"
#include "manager/service.h"

namespace sock::manager {

/// The HTTP API: turns requests into calls of a Service and its values into JSON.
///
/// Failures are one JSON object, {"errorType","errorMessage","stackTrace","requestId","code"}, with
/// the status of `status_of(code)`, except: 400 for a body or header that is not the JSON it should
/// be, 405 (with Allow) for a method a resource does not know, 413 for a body over its limit. 429
/// carries Retry-After.
class Api final : public HttpHandler {
 public:
  struct Limits {
    std::size_t event = 6U << 20;    ///< body of an invocation, bytes
    std::size_t bundle = 64U << 20;  ///< body of a deployment, bytes
  };

  /// `service` must outlive the Api.
  explicit Api(Service& service) : Api(service, Limits()) {}
  Api(Service& service, Limits limits) : service_(service), limits_(limits) {}

  std::size_t body_limit(const HttpRequest& head) const override;
  boost::asio::awaitable<HttpResponse> handle(HttpRequest& request) override;
  HttpResponse refuse(unsigned status, std::string_view message) const override;

 private:
  boost::asio::awaitable<HttpResponse> invoke(std::string function, HttpRequest& request);
  boost::asio::awaitable<HttpResponse> deploy(std::string name, HttpRequest& request);
  boost::asio::awaitable<HttpResponse> remove(std::string name);
  boost::asio::awaitable<HttpResponse> keep_warm(bool warm, HttpRequest& request);
  boost::asio::awaitable<HttpResponse> show_call(std::string id, bool only_logs);
  HttpResponse list_functions();
  HttpResponse show_function(const std::string& name);
  HttpResponse list_calls(const std::string& function);
  HttpResponse show_metrics();

  Service& service_;
  Limits limits_;
  JsonCheck check_;
  RequestIds ids_;
};

}  // namespace sock::manager
