#pragma once

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// What sockd keeps ready and what it knows: one GET each, shown.

[[nodiscard]] Outcome<int> show_zygotes(Context& context);
[[nodiscard]] Outcome<int> show_netns(Context& context);
[[nodiscard]] Outcome<int> show_stats(Context& context);

/// sockctl's version and, when it can be reached, sockd's. Never fails for an absent sockd.
[[nodiscard]] Outcome<int> show_version(Context& context);

}  // namespace sock::cli
