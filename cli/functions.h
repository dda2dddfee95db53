#pragma once

#include <string>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// One line per deployed function.
[[nodiscard]] Outcome<int> list_functions(Context& context);

/// Everything sockd knows of a function.
[[nodiscard]] Outcome<int> describe_function(Context& context, const std::string& name);

/// Removes a function; calls under way finish.
[[nodiscard]] Outcome<int> remove_function(Context& context, const std::string& name);

/// Shows an answer that holds one function.
[[nodiscard]] Outcome<int> show_function(Context& context, const Response& response);

}  // namespace sock::cli
