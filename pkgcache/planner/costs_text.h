#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "pkgcache/planner/cost_model.h"

namespace sock::pkgcache {

/// Reads costs as JSON: {NAME: {"versions": {VERSION: {"cost": {"ms": …, "mb": …}}}}}, each with
/// the dependencies loaded already; other fields are ignored, a version without "cost" is left out.
/// What is wrong is kInvalid and names `file` with the line, or the package: not JSON, something
/// else than an object or a number, a number below 0 or above an hour or a terabyte, a name
/// that is spelt in two ways, or given twice.
[[nodiscard]] Result<CostTable> parse_costs(std::string_view text, const std::string& file);

}  // namespace sock::pkgcache
