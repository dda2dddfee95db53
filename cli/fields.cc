#include "cli/fields.h"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace sock::cli {
namespace {

const boost::json::value* find(const boost::json::object& object, std::string_view key) {
  return object.if_contains(boost::json::string_view(key.data(), key.size()));
}

}  // namespace

std::string text_of(const boost::json::value& value) {
  if (value.is_null()) return {};
  if (const auto* const text = value.if_string()) return {text->data(), text->size()};
  return boost::json::serialize(value);
}

std::string text_of(const boost::json::object& object, std::string_view key) {
  const auto* const value = find(object, key);
  return value != nullptr ? text_of(*value) : std::string();
}

std::string or_dash(std::string text) { return text.empty() ? "-" : std::move(text); }

std::int64_t integer_of(const boost::json::object& object, std::string_view key) {
  const auto* const value = find(object, key);
  if (value == nullptr) return 0;
  if (const auto* const number = value->if_int64()) return *number;
  if (const auto* const number = value->if_double()) {
    // Outside this range the conversion is undefined; the comparison also refuses NaN.
    return *number > -9e18 && *number < 9e18 ? static_cast<std::int64_t>(*number) : 0;
  }
  return 0;
}

bool truth_of(const boost::json::object& object, std::string_view key) {
  const auto* const value = find(object, key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const boost::json::array& array_of(const boost::json::object& object, std::string_view key) {
  static const boost::json::array kNone;
  const auto* const value = find(object, key);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

const boost::json::object& object_of(const boost::json::object& object, std::string_view key) {
  static const boost::json::object kNone;
  const auto* const value = find(object, key);
  return value != nullptr && value->is_object() ? value->get_object() : kNone;
}

std::string package_of(const boost::json::value& value) {
  const auto* const object = value.if_object();
  if (object == nullptr) return text_of(value);
  return text_of(*object, "name") + "==" + text_of(*object, "version");
}

std::string joined(const boost::json::array& array, std::string_view separator) {
  std::string out;
  for (const auto& element : array) {
    if (!out.empty()) out += separator;
    out += package_of(element);
  }
  return out;
}

}  // namespace sock::cli
