#include "cli/units.h"

#include <array>
#include <cstdio>
#include <ctime>

namespace sock::cli {
namespace {

std::string formatted(const char* format, double value, const char* unit) {
  std::array<char, 64> buffer{};
  const int n = std::snprintf(buffer.data(), buffer.size(), format, value, unit);
  return n > 0 ? std::string(buffer.data()) : std::string();
}

}  // namespace

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  const bool whole = unit == 0 || value >= 100;
  return formatted(whole ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
}

std::string human_micros(std::int64_t micros) {
  const auto value = static_cast<double>(micros);
  if (micros < 1'000'000) return formatted("%.2f %s", value / 1e3, "ms");
  return formatted("%.2f %s", value / 1e6, "s");
}

std::string human_seconds(std::int64_t seconds) {
  if (seconds < 0) return "-";
  const auto pair = [](std::int64_t big, const char* b, std::int64_t small, const char* s) {
    return std::to_string(big) + b + (small > 0 ? " " + std::to_string(small) + s : "");
  };
  if (seconds < 60) return std::to_string(seconds) + "s";
  if (seconds < 3600) return pair(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return pair(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return pair(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string human_time(std::int64_t epoch_seconds) {
  if (epoch_seconds <= 0) return "-";
  const std::time_t time = epoch_seconds;
  std::tm parts{};
  std::array<char, 64> buffer{};
  if (::gmtime_r(&time, &parts) == nullptr) return "-";
  if (std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%SZ", &parts) == 0) return "-";
  return buffer.data();
}

}  // namespace sock::cli
