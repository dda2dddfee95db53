#pragma once

#include <string>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// What a call wrote to stdout and stderr: of the call with that id, or of a function's newest.
/// With JSON the call's whole record.
[[nodiscard]] Outcome<int> show_logs(Context& context, const std::string& name_or_id);

}  // namespace sock::cli
