#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sock {

/// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text);

/// Bytes of the well-formed character that `text`, which is not empty, starts with; 0: there is
/// none.
[[nodiscard]] std::size_t utf8_length(std::string_view text);

/// True when `text` holds C0 or C1 control characters or DEL, or is not UTF-8.
[[nodiscard]] bool has_controls(std::string_view text);

/// `text` between double quotes for an error message: control characters and bytes that are not
/// UTF-8 become \xNN and a long text is cut at a character's boundary, so that hostile input can
/// neither fill nor steer a terminal and the message stays UTF-8.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace sock
