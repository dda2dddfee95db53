#pragma once

#include <cstdint>
#include <string>

namespace sock::cli {

/// "0 B", "1.5 KB", "256 MB": powers of 1024, for people.
[[nodiscard]] std::string human_bytes(std::int64_t bytes);

/// "0.84 ms", "1.20 s" from microseconds.
[[nodiscard]] std::string human_micros(std::int64_t micros);

/// "42s", "3m 10s", "5h 2m", "12d 3h" from seconds.
[[nodiscard]] std::string human_seconds(std::int64_t seconds);

/// "2026-01-31 12:00:00Z" from seconds since the epoch; "-" for zero and nonsense.
[[nodiscard]] std::string human_time(std::int64_t epoch_seconds);

}  // namespace sock::cli
