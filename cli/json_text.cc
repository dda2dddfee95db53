#include "cli/json_text.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse.hpp>

namespace sock::cli {
namespace {

using boost::json::error_code;
using boost::json::string_view;

/// Takes every event of the parser and keeps nothing.
struct Discard {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(std::size_t, error_code&) { return true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_key_part(string_view, std::size_t, error_code&) { return true; }
  bool on_key(string_view, std::size_t, error_code&) { return true; }
  bool on_string_part(string_view, std::size_t, error_code&) { return true; }
  bool on_string(string_view, std::size_t, error_code&) { return true; }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t, string_view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, string_view, error_code&) { return true; }
  bool on_double(double, string_view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

boost::json::parse_options options() {
  boost::json::parse_options chosen;
  chosen.max_depth = kMaxJsonDepth;
  return chosen;
}

}  // namespace

std::string json_problem(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "it is empty";
  boost::json::basic_parser<Discard> parser(options());
  error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  // What follows the document may only be blank.
  const std::size_t rest = text.find_first_not_of(" \t\r\n", used);
  if (!error && rest == std::string_view::npos) return {};
  const std::size_t at = error ? std::min(used, text.size()) : rest;
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t line_start = before.rfind('\n');
  const std::size_t column = line_start == std::string_view::npos ? at + 1 : at - line_start;
  return (error ? error.message() : std::string("text after the document")) + " at line " +
         std::to_string(line) + ", column " + std::to_string(column);
}

Outcome<boost::json::value> parse_answer(std::string_view text, std::string_view what) {
  error_code error;
  boost::json::value value =
      boost::json::parse(string_view(text.data(), text.size()), error, {}, options());
  if (!error) return value;
  return fail(ExitCode::kInternal, std::string(what) + " from sockd is not JSON (" +
                                       error.message() + "): do sockctl and sockd match?");
}

Outcome<boost::json::object> parse_object(std::string_view text, std::string_view what) {
  auto value = parse_answer(text, what);
  if (!value) return std::unexpected(value.error());
  if (auto* const object = value->if_object()) return std::move(*object);
  return fail(ExitCode::kInternal, std::string(what) + " from sockd is not a JSON object");
}

}  // namespace sock::cli
