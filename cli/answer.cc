#include "cli/answer.h"

#include "cli/api_error.h"

namespace sock::cli {

Outcome<Answer> get(Context& context, const char* target, std::string_view what) {
  Request request;
  request.method = "GET";
  request.target = target;
  auto response = context.client.exchange(request);
  if (!response) return std::unexpected(response.error());
  auto fields = object_of_answer(*response, what);
  if (!fields) return std::unexpected(fields.error());
  return Answer{std::move(response->body), std::move(*fields)};
}

}  // namespace sock::cli
