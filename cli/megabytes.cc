#include "cli/megabytes.h"

#include <charconv>
#include <cmath>
#include <string>

namespace sock::cli {

Outcome<double> parse_megabytes(std::string_view text) {
  constexpr double kMost = 1e9;  // a petabyte
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  double scale = 0;
  if (unit == "K") scale = 1.0 / 1024;
  if (unit == "M") scale = 1;
  if (unit == "G") scale = 1024;
  const double mb = value * scale;
  if (error != std::errc() || scale == 0 || !std::isfinite(value) || value < 0 || mb > kMost) {
    return fail(ExitCode::kUsage,
                "'" + std::string(text) + "' is not a size: a number with K, M or G, as in 200M");
  }
  return mb;
}

}  // namespace sock::cli
