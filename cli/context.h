#pragma once

#include <iosfwd>
#include <string>
#include <string_view>

#include "cli/client.h"

namespace sock::cli {

/// Where a command reads and writes. `out` carries the result and nothing else.
struct Console {
  std::ostream& out;
  std::ostream& err;
  int in = 0;  ///< descriptor of standard input; stays the caller's
  bool in_is_terminal = false;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
};

enum class Format { kTable, kJson };

/// What every command gets.
struct Context {
  Console& console;
  Client& client;
  Format format = Format::kTable;
  std::string program_folder;  ///< where sockd lies when it has to be run directly
};

/// A JSON document that came from sockd, on `out` with one line feed at its end.
void print_document(Context& context, std::string_view document);

/// A failure for people, on `err`.
void print_failure(Console& console, const Failure& failure);

/// A failure as the one document of JSON output: {"error":{"code","errorMessage",…}}.
void print_failure_document(Context& context, const Failure& failure);

/// Text of a handler, raw to a file or pipe, made harmless on a terminal; a missing last line feed
/// is added.
void print_log(std::ostream& stream, bool is_terminal, std::string_view text);

}  // namespace sock::cli
