#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// How people write sizes and durations in sockd.toml, sock.toml, flags and the API.
/// The readers take exactly this grammar: no sign, space, fraction, exponent or leading zero. Every
/// failure is kInvalid and quotes the text.

/// "512" (bytes), "64K", "256M", "1G"; the units are powers of 1024. Fits in 63 bits.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

/// The shortest exact form that parse_size reads back: 268435456 → "256M", 1000 → "1000".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// "500ms", "30s", "2m", "1h"; the unit is required. Fits in 63 bits of milliseconds.
[[nodiscard]] Result<Millis> parse_duration(std::string_view text);

/// The shortest exact form that parse_duration reads back: 90000 → "90s", 60000 → "1m".
/// `duration` must not be negative.
[[nodiscard]] std::string format_duration(Millis duration);

/// Thousandths of a core as a number of cores: 1000 → "1", 250 → "0.25".
[[nodiscard]] std::string format_cpu(std::uint32_t millis);

}  // namespace sock::manager
