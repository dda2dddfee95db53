#include "pkgcache/text.h"

#include <algorithm>
#include <cstddef>

#include "base/text.h"

namespace sock::pkgcache {

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = to_lower(c);
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 120;
  std::string out;
  while (!text.empty()) {
    if (out.size() >= kMost) return out + "…";
    const std::string_view character = text.substr(0, std::max<std::size_t>(utf8_length(text), 1));
    if (has_controls(character)) {
      out += '?';
    } else {
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

bool is_module_name(std::string_view text) {
  bool start = true;
  for (const char c : text) {
    if (c == '.') {
      if (start) return false;
      start = true;
    } else if (is_alpha(c) || c == '_' || (!start && is_digit(c))) {
      start = false;
    } else {
      return false;
    }
  }
  return !start;
}

}  // namespace sock::pkgcache
