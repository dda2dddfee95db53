#include "zygote/memory_map.h"

#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <charconv>

namespace sock::zygote {
namespace {

/// Cuts a number off `text`, and the one character behind it when `separator` is not 0.
bool take_number(std::string_view& text, int base, char separator, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (separator == '\0') return true;
  if (!text.starts_with(separator)) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view without_leading_spaces(std::string_view text) {
  const auto at = text.find_first_not_of(' ');
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

/// "7f00-7f10 rw-p 00000000 00:01 42   /name"
bool parse_header(std::string_view line, Mapping& mapping) {
  std::uint64_t begin = 0, end = 0, major = 0, minor = 0;
  if (!take_number(line, 16, '-', begin) || !take_number(line, 16, ' ', end) || line.size() < 5) {
    return false;
  }
  const std::string_view protection = line.substr(0, 4);
  line.remove_prefix(5);
  if (begin >= end || (protection[3] != 'p' && protection[3] != 's') ||
      !take_number(line, 16, ' ', mapping.offset) || !take_number(line, 16, ':', major) ||
      !take_number(line, 16, ' ', minor) || !take_number(line, 10, '\0', mapping.inode)) {
    return false;
  }
  mapping.begin = begin;
  mapping.end = end;
  mapping.protection = (protection[0] == 'r' ? PROT_READ : 0) |
                       (protection[1] == 'w' ? PROT_WRITE : 0) |
                       (protection[2] == 'x' ? PROT_EXEC : 0);
  mapping.shared = protection[3] == 's';
  mapping.device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  mapping.name = without_leading_spaces(line);
  return true;
}

std::uint64_t* size_field(Mapping& mapping, std::string_view name) {
  if (name == "Rss") return &mapping.resident;
  if (name == "Anonymous") return &mapping.anonymous;
  return name == "Swap" ? &mapping.swapped : nullptr;
}

/// "Anonymous:      12 kB"
bool parse_field(std::string_view line, Mapping& mapping) {
  const auto colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = without_leading_spaces(line.substr(colon + 1));
  if (name == "VmFlags") {
    mapping.flags = value;
  } else if (std::uint64_t* const bytes = size_field(mapping, name); bytes != nullptr) {
    std::uint64_t kilobytes = 0;
    if (!take_number(value, 10, ' ', kilobytes)) return false;
    *bytes = kilobytes << 10;
  }
  return true;
}

}  // namespace

std::string_view MemoryMap::take_line() {
  const auto line = rest_.substr(0, rest_.find('\n'));
  rest_.remove_prefix(line.size() < rest_.size() ? line.size() + 1 : rest_.size());
  return line;
}

bool MemoryMap::next(Mapping& mapping) {
  if (rest_.empty() || malformed_) return false;
  mapping = {};
  malformed_ = !parse_header(take_line(), mapping);
  // Fields begin with a capital letter, the next mapping with a hexadecimal digit in lower case.
  while (!malformed_ && !rest_.empty() && rest_.front() >= 'A' && rest_.front() <= 'Z') {
    const auto line = take_line();
    malformed_ = line.find(':') == std::string_view::npos || !parse_field(line, mapping);
  }
  malformed_ = malformed_ || mapping.flags.empty();
  return !malformed_;
}

}  // namespace sock::zygote
