#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sock::pkgcache {

/// ASCII only and independent of the locale: metadata must mean the same on every host.
[[nodiscard]] constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
[[nodiscard]] constexpr bool is_alnum(char c) { return is_digit(c) || is_alpha(c); }
[[nodiscard]] constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v';
}
[[nodiscard]] constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] std::string to_lower(std::string_view text);

/// Without white space at either end.
[[nodiscard]] std::string_view trim(std::string_view text);

/// Lines without their ends ("\n" or "\r\n"); a final line end starts no further line.
[[nodiscard]] std::vector<std::string_view> split_lines(std::string_view text);

/// For error messages: control characters become "?", and a long text is cut to about 120 bytes
/// at a character's boundary, so that hostile input cannot fill or steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// True for "a", "a.b": Python identifiers of ASCII letters, joined by dots.
[[nodiscard]] bool is_module_name(std::string_view text);

}  // namespace sock::pkgcache
