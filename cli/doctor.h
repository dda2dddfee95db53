#pragma once

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// What the host offers and what is missing. Asks sockd; when that is not running, has the sockd
/// beside sockctl look (`sockd --doctor`), so that it helps before the first start as well.
/// Exit status 0 when healthy, 1 otherwise.
[[nodiscard]] Outcome<int> doctor(Context& context);

}  // namespace sock::cli
