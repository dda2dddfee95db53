#include "manager/settings/option_reader.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <utility>

#include "base/text.h"
#include "manager/settings/units.h"

namespace sock::manager {
namespace {

// A value as a message shows it: bounded, and a container only by its kind.
std::string show(const boost::json::value& value) {
  if (value.is_object()) return "a table";
  if (value.is_array()) return "a list";
  if (value.is_null()) return "null";
  if (value.is_string()) return in_quotes(value.get_string());
  return boost::json::serialize(value);
}

// Keys are hostile too; the ordinary ones read better without quotes.
std::string show_key(std::string_view key) {
  const bool plain = !key.empty() && key.size() <= 64 && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  return plain ? std::string(key) : in_quotes(key);
}

std::optional<std::uint64_t> as_whole(const boost::json::value& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) {
    return static_cast<std::uint64_t>(value.get_int64());
  }
  return std::nullopt;
}

}  // namespace

OptionReader::OptionReader(const boost::json::object& object, Locate locate)
    : object_(object), locate_(std::move(locate)) {}

void OptionReader::refuse(std::string_view key, const std::string& why) {
  if (error_) return;
  error_ = fail(Code::kInvalid, "options", locate_(key) + show_key(key) + ": " + why).error();
}

const boost::json::value* OptionReader::take(std::string_view key) {
  known_.emplace_back(key);
  return error_ ? nullptr : object_.if_contains(key);
}

const boost::json::object* OptionReader::table(std::string_view key, std::string_view what) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return nullptr;
  if (!value->is_object()) {
    refuse(key, "must be " + std::string(what) + ", not " + show(*value));
    return nullptr;
  }
  return &value->get_object();
}

std::optional<std::string> OptionReader::text(std::string_view key) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->get_string());
  refuse(key, "must be a text, not " + show(*value));
  return std::nullopt;
}

void OptionReader::text(std::string_view key, std::string& out) {
  if (auto given = text(key)) out = std::move(*given);
}

void OptionReader::flag(std::string_view key, bool& out) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  if (!value->is_bool()) return refuse(key, "must be true or false, not " + show(*value));
  out = value->get_bool();
}

void OptionReader::size(std::string_view key, std::uint64_t& out, Range<std::uint64_t> range) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  std::optional<std::uint64_t> bytes = as_whole(*value);
  if (value->is_string()) {
    const auto parsed = parse_size(value->get_string());
    if (!parsed) return refuse(key, parsed.error().message);
    bytes = *parsed;
  }
  if (!bytes) return refuse(key, "must be a size such as \"256M\", not " + show(*value));
  if (*bytes < range.low || *bytes > range.high) {
    return refuse(key, "must be between " + format_size(range.low) + " and " +
                           format_size(range.high) + ", not " + format_size(*bytes));
  }
  out = *bytes;
}

void OptionReader::duration(std::string_view key, Millis& out, Range<Millis> range) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  if (!value->is_string()) {
    return refuse(key, "must be a duration such as \"30s\", not " + show(*value));
  }
  const auto parsed = parse_duration(value->get_string());
  if (!parsed) return refuse(key, parsed.error().message);
  if (*parsed < range.low || *parsed > range.high) {
    return refuse(key, "must be between " + format_duration(range.low) + " and " +
                           format_duration(range.high) + ", not " + format_duration(*parsed));
  }
  out = *parsed;
}

void OptionReader::whole(std::string_view key, std::uint64_t& out, Range<std::uint64_t> range) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  const auto given = as_whole(*value);
  if (!given || *given < range.low || *given > range.high) {
    return refuse(key, "must be a whole number between " + std::to_string(range.low) + " and " +
                           std::to_string(range.high) + ", not " + show(*value));
  }
  out = *given;
}

void OptionReader::number(std::string_view key, std::uint32_t& out, Range<std::uint32_t> range) {
  std::uint64_t wide = out;
  whole(key, wide, {range.low, range.high});
  out = static_cast<std::uint32_t>(wide);
}

void OptionReader::cpu(std::string_view key, std::uint32_t& millis, Range<std::uint32_t> range) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  const std::string expected = "must be a number of cores between " + format_cpu(range.low) +
                               " and " + format_cpu(range.high) + ", not " + show(*value);
  double cores = 0;
  if (value->is_double()) {
    cores = value->get_double();
  } else if (const auto given = as_whole(*value)) {
    cores = static_cast<double>(*given);
  } else {
    return refuse(key, expected);
  }
  const double thousandths = cores * 1000;
  // Written so that not-a-number fails as well.
  if (!(thousandths >= range.low && thousandths <= range.high)) return refuse(key, expected);
  if (std::abs(thousandths - std::round(thousandths)) > 1e-6) {
    return refuse(key, "must have at most three decimals, not " + show(*value));
  }
  millis = static_cast<std::uint32_t>(std::lround(thousandths));
}

std::optional<std::vector<std::string>> OptionReader::string_list(std::string_view key,
                                                                  const boost::json::value& value) {
  std::vector<std::string> out;
  if (const boost::json::array* items = value.if_array()) {
    for (const boost::json::value& item : *items) {
      if (!item.is_string()) {
        refuse(key, "must be a list of texts, but one item is " + show(item));
        return std::nullopt;
      }
      out.emplace_back(item.get_string());
    }
    return out;
  }
  refuse(key, "must be a list of texts, not " + show(value));
  return std::nullopt;
}

void OptionReader::strings(std::string_view key, std::vector<std::string>& out) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return;
  if (auto items = string_list(key, *value)) out = std::move(*items);
}

std::optional<std::vector<std::string>> OptionReader::one_or_more(std::string_view key) {
  const boost::json::value* value = take(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::vector{std::string(value->get_string())};
  return string_list(key, *value);
}

Result<> OptionReader::finish() {
  for (const auto& member : object_) {
    const std::string_view key = member.key();
    if (error_ || std::ranges::find(known_, key) != known_.end()) continue;
    std::ranges::sort(known_);
    std::string names;
    for (const std::string& name : known_) {
      names += (names.empty() ? "" : ", ") + name;
    }
    refuse(key, "unknown key; the known ones are " + names);
  }
  if (error_) return std::unexpected(*error_);
  return {};
}

}  // namespace sock::manager
