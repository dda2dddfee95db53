#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// The packages that functions may require: what each costs, who uses it, whether zygotes may hold
/// it.
[[nodiscard]] Outcome<int> show_packages(Context& context);

/// Has sockd keep a zygote for the set, whatever the demand.
[[nodiscard]] Outcome<int> warm_packages(Context& context, const std::vector<std::string>& set);
/// No longer.
[[nodiscard]] Outcome<int> cool_packages(Context& context, const std::vector<std::string>& set);

}  // namespace sock::cli
