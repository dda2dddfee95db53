#include "base/text.h"

#include <cstddef>
#include <cstdint>

namespace sock {
namespace {

bool is_control(std::string_view character) {
  const auto first = static_cast<std::uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  if (byte(0) < 0x80) return 1;
  std::size_t length = 0;
  std::uint32_t value = 0;
  std::uint32_t smallest = 0;
  if ((byte(0) & 0xe0U) == 0xc0) {
    length = 2, value = byte(0) & 0x1fU, smallest = 0x80;
  } else if ((byte(0) & 0xf0U) == 0xe0) {
    length = 3, value = byte(0) & 0x0fU, smallest = 0x800;
  } else if ((byte(0) & 0xf8U) == 0xf0) {
    length = 4, value = byte(0) & 0x07U, smallest = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
    value = value << 6U | (byte(i) & 0x3fU);
  }
  const bool surrogate = value >= 0xd800 && value <= 0xdfff;
  return value < smallest || value > 0x10ffff || surrogate ? 0 : length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

bool has_controls(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || is_control(text.substr(0, length))) return true;
    text.remove_prefix(length);
  }
  return false;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kMost = 100;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    if (out.size() > kMost) return out + "…\"";
    const std::size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, length == 0 ? 1 : length);
    if (length == 0 || is_control(character)) {
      for (const char c : character) {
        const auto byte = static_cast<std::uint8_t>(c);
        out += {'\\', 'x', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
      }
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out + '"';
}

}  // namespace sock
