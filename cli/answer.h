#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// A successful answer, as it came and as an object.
struct Answer {
  std::string text;
  boost::json::object fields;
};

/// GET `target`; `what` names the answer in failures: "the list of zygotes".
[[nodiscard]] Outcome<Answer> get(Context& context, const char* target, std::string_view what);

}  // namespace sock::cli
