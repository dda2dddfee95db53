#include "pkgcache/package.h"

#include <algorithm>

#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {
bool is_separator(char c) { return c == '-' || c == '_' || c == '.'; }
}  // namespace

std::string normalise_name(std::string_view name) {
  std::string out;
  out.reserve(name.size());
  for (const char c : name) {
    if (!is_separator(c)) {
      out.push_back(to_lower(c));
    } else if (out.empty() || out.back() != '-') {
      out.push_back('-');
    }
  }
  return out;
}

bool is_valid_name(std::string_view name) {
  if (name.empty() || name.size() > 128) return false;
  if (!is_alnum(name.front()) || !is_alnum(name.back())) return false;
  return std::ranges::all_of(name, [](char c) { return is_alnum(c) || is_separator(c); });
}

bool is_digest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_subset(std::span<const Package> inner, std::span<const Package> outer) {
  return std::ranges::includes(outer, inner);
}

}  // namespace sock::pkgcache
