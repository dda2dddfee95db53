#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/failure.h"

namespace sock::cli {

/// Most bytes of an event read before asking sockd, whose own limit is lower.
inline constexpr std::size_t kMaxEventBytes = 64U << 20U;

/// Everything a descriptor yields, refused beyond `limit`. `what` names it in errors.
[[nodiscard]] Outcome<std::string> read_all(int fd, std::size_t limit, const std::string& what);

/// A file of at most `limit` bytes; a usage failure names it.
[[nodiscard]] Outcome<std::string> read_input_file(const std::string& path, std::size_t limit);

/// A call's event: `data`, or the contents of `file` ("-" = standard input), or standard input when
/// that is not a terminal. Nothing, or nothing but blanks on standard input, is "{}".
/// Anything that is not one JSON document is a usage failure.
[[nodiscard]] Outcome<std::string> read_event(const std::optional<std::string>& data,
                                              const std::optional<std::string>& file,
                                              const Console& console);

/// Function names as sockd takes them; a usage failure tells the rule.
[[nodiscard]] Outcome<> check_name(const std::string& name);

/// Whether `text` has the shape of a request id: a UUID.
[[nodiscard]] bool is_request_id(const std::string& text);

}  // namespace sock::cli
