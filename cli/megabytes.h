#pragma once

#include <string_view>

#include "cli/failure.h"

namespace sock::cli {

/// MB (2²⁰ bytes) from a size with its unit: "512K", "200M", "1.5G". A usage failure tells the
/// rule.
[[nodiscard]] Outcome<double> parse_megabytes(std::string_view text);

}  // namespace sock::cli
