#include "cli/context.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <ostream>

#include "cli/terminal.h"

namespace sock::cli {

void print_document(Context& context, std::string_view document) {
  const std::size_t end = document.find_last_not_of(" \t\r\n");
  document = document.substr(0, end == std::string_view::npos ? 0 : end + 1);
  context.console.out << (context.console.out_is_terminal ? printable_json(document)
                                                          : std::string(document))
                      << '\n';
}

void print_failure(Console& console, const Failure& failure) {
  if (!failure.detail.empty()) console.err << failure.detail << '\n';
  console.err << "sockctl: " << failure.message << '\n';
}

void print_failure_document(Context& context, const Failure& failure) {
  if (!failure.json.empty()) {
    print_document(context, "{\"error\":" + failure.json + "}");
    return;
  }
  const boost::json::object error{{"code", to_string(static_cast<ExitCode>(failure.exit))},
                                  {"errorMessage", failure.message}};
  print_document(context, boost::json::serialize(boost::json::object{{"error", error}}));
}

void print_log(std::ostream& stream, bool is_terminal, std::string_view text) {
  if (text.empty()) return;
  if (is_terminal) {
    stream << printable(text, Lines::kMany);
  } else {
    stream << text;
  }
  if (text.back() != '\n') stream << '\n';
}

}  // namespace sock::cli
