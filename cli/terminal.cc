#include "cli/terminal.h"

#include <array>
#include <cstdint>
#include <cstdio>

namespace sock::cli {
namespace {

struct Decoded {
  char32_t point = 0;
  std::size_t size = 0;  ///< bytes taken; 0 = not UTF-8
};

/// One code point off the front; overlong forms, surrogates and values past U+10FFFF are refused.
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {first, 1};
  std::size_t size = 0;
  char32_t point = 0;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
    point = first & 0x1fU;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    point = first & 0x0fU;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    point = first & 0x07U;
  }
  if (size == 0 || text.size() < size) return {};
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) return {};
    point = (point << 6U) | (byte(i) & 0x3fU);
  }
  constexpr std::array<char32_t, 5> kSmallest = {0, 0, 0x80, 0x800, 0x10000};
  if (point < kSmallest[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
    return {};
  }
  return {point, size};
}

void append_hex(std::string& out, const char* format, unsigned value) {
  char buffer[16];
  const int n = std::snprintf(buffer, sizeof buffer, format, value);
  if (n > 0) out.append(buffer, static_cast<std::size_t>(n));
}

bool is_control(char32_t point) { return point < 0x20 || (point >= 0x7f && point <= 0x9f); }

/// Characters that reorder what stands around them: as good as a forged message.
bool is_reordering(char32_t point) {
  return (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text, Lines lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded next = decode(text);
    if (next.size == 0) {
      append_hex(out, "\\x%02x", static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
      continue;
    }
    const bool passes = next.point == '\t' || (next.point == '\n' && lines == Lines::kMany) ||
                        (!is_control(next.point) && !is_reordering(next.point));
    if (passes) {
      out.append(text.substr(0, next.size));
    } else if (next.point == '\n') {
      out += "\\n";
    } else if (next.point < 0x80) {
      append_hex(out, "\\x%02x", static_cast<unsigned>(next.point));
    } else {
      append_hex(out, "\\u%04x", static_cast<unsigned>(next.point));
    }
    text.remove_prefix(next.size);
  }
  return out;
}

std::string printable_json(std::string_view document) {
  std::string out;
  out.reserve(document.size());
  while (!document.empty()) {
    const Decoded next = decode(document);
    const std::size_t size = next.size == 0 ? 1 : next.size;
    const bool blank = next.point == '\n' || next.point == '\t' || next.point == '\r';
    if (next.size != 0 && ((is_control(next.point) && !blank) || is_reordering(next.point))) {
      append_hex(out, "\\u%04x", static_cast<unsigned>(next.point));
    } else {
      out.append(document.substr(0, size));
    }
    document.remove_prefix(size);
  }
  return out;
}

std::string ascii_json(std::string_view document) {
  std::string out;
  out.reserve(document.size());
  while (!document.empty()) {
    const Decoded next = decode(document);
    if (next.size == 0) return {};
    if (next.point < 0x80) {
      out += static_cast<char>(next.point);
    } else if (next.point < 0x10000) {
      append_hex(out, "\\u%04x", static_cast<unsigned>(next.point));
    } else {
      const auto rest = static_cast<unsigned>(next.point) - 0x10000U;
      append_hex(out, "\\u%04x", 0xd800U + (rest >> 10U));
      append_hex(out, "\\u%04x", 0xdc00U + (rest & 0x3ffU));
    }
    document.remove_prefix(next.size);
  }
  return out;
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) ++width;
  }
  return width;
}

}  // namespace sock::cli
