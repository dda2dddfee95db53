#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sock::cli {

/// Whether line breaks may pass.
enum class Lines { kOne, kMany };

/// `text` with everything that could drive a terminal made visible: control characters (C0, DEL,
/// C1) and bytes that are not UTF-8 become \xNN or \u00NN. Tabs pass; line feeds only with kMany.
/// Names, messages and logs come from sandboxes: none of them may move a cursor or set a title.
[[nodiscard]] std::string printable(std::string_view text, Lines lines);

/// The same for a JSON document, which stays valid and keeps its meaning: control characters that
/// JSON lets through unescaped (DEL, C1) become \u escapes.
[[nodiscard]] std::string printable_json(std::string_view document);

/// `document` with every character outside ASCII written as \uXXXX, for use in an HTTP header.
/// Empty when the text is not UTF-8.
[[nodiscard]] std::string ascii_json(std::string_view document);

/// Code points of UTF-8 text: its width on a terminal, near enough for names and box drawing.
[[nodiscard]] std::size_t width_of(std::string_view text);

}  // namespace sock::cli
