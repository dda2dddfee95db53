#include "manager/settings/units.h"

#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "base/text.h"

namespace sock::manager {
namespace {

constexpr std::uint64_t kLargest = std::numeric_limits<std::int64_t>::max();

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

// Largest first: the formatters take the first one that divides.
constexpr std::array kSizes = {Unit{"G", 1ULL << 30}, Unit{"M", 1ULL << 20}, Unit{"K", 1ULL << 10},
                               Unit{"", 1}};
constexpr std::array kDurations = {Unit{"h", 3'600'000}, Unit{"m", 60'000}, Unit{"s", 1'000},
                                   Unit{"ms", 1}};

template <std::size_t N>
std::optional<std::uint64_t> parse(std::string_view text, const std::array<Unit, N>& units) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) return std::nullopt;
  const auto digits = static_cast<std::size_t>(stop - text.data());
  if (digits > 1 && text.front() == '0') return std::nullopt;
  for (const Unit& unit : units) {
    if (text.substr(digits) != unit.suffix) continue;
    if (number > kLargest / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string format(std::uint64_t value, const std::array<Unit, N>& units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + std::string(unit.suffix);
    }
  }
  return {};
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto bytes = parse(text, kSizes);
  if (bytes) return *bytes;
  return fail(Code::kInvalid, "size",
              in_quotes(text) +
                  " is not a size; write whole bytes or a whole number with K, M or G, such as "
                  "256M");
}

std::string format_size(std::uint64_t bytes) { return bytes == 0 ? "0" : format(bytes, kSizes); }

Result<Millis> parse_duration(std::string_view text) {
  const auto millis = parse(text, kDurations);
  if (millis) return Millis(static_cast<Millis::rep>(*millis));
  return fail(
      Code::kInvalid, "duration",
      in_quotes(text) + " is not a duration; write a whole number with ms, s, m or h, such as 30s");
}

std::string format_duration(Millis duration) {
  return duration.count() == 0 ? "0s"
                               : format(static_cast<std::uint64_t>(duration.count()), kDurations);
}

std::string format_cpu(std::uint32_t millis) {
  std::string text = std::to_string(millis / 1000);
  if (const std::uint32_t rest = millis % 1000; rest != 0) {
    const std::string digits = std::to_string(1000 + rest).substr(1);
    text += '.' + digits.substr(0, digits.find_last_not_of('0') + 1);
  }
  return text;
}

}  // namespace sock::manager
