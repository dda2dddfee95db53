#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace sock::cli {

/// Readers of answers that may lack a field or have it of another kind: never an exception, always
/// something to show.

/// A string as it is, a number or truth value as JSON writes it, "" for null and what is missing.
[[nodiscard]] std::string text_of(const boost::json::object& object, std::string_view key);
[[nodiscard]] std::string text_of(const boost::json::value& value);

/// What a table shows for it: "-" where there is nothing.
[[nodiscard]] std::string or_dash(std::string text);

/// A number as an integer (fractions cut), 0 when there is none.
[[nodiscard]] std::int64_t integer_of(const boost::json::object& object, std::string_view key);

[[nodiscard]] bool truth_of(const boost::json::object& object, std::string_view key);

/// The array or object under `key`; an empty one when there is none.
[[nodiscard]] const boost::json::array& array_of(const boost::json::object& object,
                                                 std::string_view key);
[[nodiscard]] const boost::json::object& object_of(const boost::json::object& object,
                                                   std::string_view key);

/// A package as "name==version", whether it came as that or as {"name","version"}.
[[nodiscard]] std::string package_of(const boost::json::value& value);

/// Elements of an array of strings, or of packages, joined.
[[nodiscard]] std::string joined(const boost::json::array& array, std::string_view separator);

}  // namespace sock::cli
