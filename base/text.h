#pragma once

#include <string>
#include <string_view>

namespace sock {

/// Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms).
[[nodiscard]] bool is_utf8(std::string_view text);

/// True when `text` holds C0 or C1 control characters or DEL. Expects UTF-8.
[[nodiscard]] bool has_controls(std::string_view text);

/// `text` between double quotes for an error message: control characters and bytes that are not
/// UTF-8 become \xNN and a long text is cut at a character's boundary, so that hostile input can
/// neither fill nor steer a terminal and the message stays UTF-8.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace sock
