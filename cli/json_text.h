#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include "cli/failure.h"

namespace sock::cli {

/// Deepest nesting of documents that sockctl reads or sends.
inline constexpr std::size_t kMaxJsonDepth = 1024;

/// Checks that `text` is exactly one JSON document, in constant memory. Returns what is wrong and
/// where ("syntax error at line 1, column 7"), empty when it is valid. NaN and Infinity are not
/// JSON.
[[nodiscard]] std::string json_problem(std::string_view text);

/// An answer of sockd as a value; one that is not JSON, or not of the kind expected, is an
/// internal error naming `what`.
[[nodiscard]] Outcome<boost::json::value> parse_answer(std::string_view text,
                                                       std::string_view what);
[[nodiscard]] Outcome<boost::json::object> parse_object(std::string_view text,
                                                        std::string_view what);

}  // namespace sock::cli
