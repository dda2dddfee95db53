#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <string>

#include "cli/client.h"

namespace sock::e2e {

/// An answer of the API.
struct Reply {
  unsigned status = 0;  ///< 0 when there was none; `body` then says why
  std::string body;
  std::map<std::string, std::string> headers;  ///< names in lower case
  boost::json::value document;                 ///< the body as JSON; null when it is not

  [[nodiscard]] const boost::json::value& json() const { return document; }
  /// A string field of the body's object, "" when missing.
  [[nodiscard]] std::string text(const char* key) const;
  /// An integer field, -1 when missing.
  [[nodiscard]] std::int64_t number(const char* key) const;
  [[nodiscard]] std::string header(const std::string& lower_case_name) const;
  [[nodiscard]] std::string id() const { return header("x-sock-request-id"); }
};

/// The HTTP API of one daemon, over one connection. Not thread safe: one for each thread.
///
/// On Path::kFunction (path.h), deploying asks for a function zygote and waits for it, and invoking
/// waits for one of its clones; a function that cannot have any is called all the same.
class Api {
 public:
  explicit Api(const std::string& socket) : client_(socket) {}

  [[nodiscard]] Reply get(const std::string& target);
  [[nodiscard]] Reply remove(const std::string& function);

  /// Deploys one Python source. `options` is the text of X-Sock-Options.
  [[nodiscard]] Reply deploy(const std::string& function, const std::string& source,
                             const std::string& options = "{}");
  [[nodiscard]] Reply deploy_bundle(const std::string& function, const std::string& bytes,
                                    const std::string& content_type,
                                    const std::string& options = "{}");

  [[nodiscard]] Reply invoke(const std::string& function, const std::string& event = "{}");

  /// The settled record of a call.
  [[nodiscard]] Reply record(const std::string& id) { return get("/v1/calls/" + id); }
  [[nodiscard]] Reply record_of(const Reply& reply) { return record(reply.id()); }

  /// What GET /v1/netns says of one network class; empty when nothing.
  [[nodiscard]] boost::json::object netns_class(const char* network);
  /// An integer field of that, -1 when missing.
  [[nodiscard]] std::int64_t netns_count(const char* network, const char* key);

  /// What GET /v1/zygotes says of a function's zygote; empty when it has none.
  [[nodiscard]] boost::json::object function_zygote(const std::string& function);
  /// Waits until it has clones parked (true) or has failed (false).
  [[nodiscard]] bool wait_for_function_zygote(const std::string& function);

 private:
  [[nodiscard]] Reply send(cli::Request request);

  cli::Client client_;
};

}  // namespace sock::e2e
