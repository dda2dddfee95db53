#include "cli/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <cctype>

#include "base/file.h"
#include "cli/json_text.h"

namespace sock::cli {
namespace {

constexpr std::size_t kMaxNameBytes = 64;
constexpr std::string_view kStandardInput = "standard input";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::unexpected<Failure> too_large(const std::string& what, std::size_t limit) {
  return fail(ExitCode::kUsage, what + " is larger than " + std::to_string(limit >> 20U) + " MiB");
}

}  // namespace

Outcome<std::string> read_all(int fd, std::size_t limit, const std::string& what) {
  std::string text;
  std::string buffer(std::size_t{64} << 10U, '\0');
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return fail(ExitCode::kUsage, fail_errno("cannot read", what).error().describe());
    }
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > limit) return too_large(what, limit);
    text.append(buffer, 0, static_cast<std::size_t>(n));
  }
}

Outcome<std::string> read_input_file(const std::string& path, std::size_t limit) {
  auto fd = open_fd(AT_FDCWD, path, O_RDONLY);
  if (!fd) return fail(ExitCode::kUsage, "cannot " + fd.error().describe());
  return read_all(fd->get(), limit, path);
}

Outcome<std::string> read_event(const std::optional<std::string>& data,
                                const std::optional<std::string>& file, const Console& console) {
  Outcome<std::string> event = std::string("{}");
  std::string what = "the event";
  if (data) {
    what = "the event given with -d";
    event = *data;
  } else if (file && *file != "-") {
    what = *file;
    event = read_input_file(*file, kMaxEventBytes);
  } else if (file || !console.in_is_terminal) {
    what = kStandardInput;
    event = read_all(console.in, kMaxEventBytes, what);
    const bool blank = event && event->find_first_not_of(" \t\r\n") == std::string::npos;
    if (blank && !file) return std::string("{}");
  }
  if (!event) return event;
  const std::string problem = json_problem(*event);
  if (!problem.empty()) {
    return fail(ExitCode::kUsage,
                what + " is not JSON: " + problem +
                    (data ? "; quote it for the shell, as in -d '{\"n\": 1}'" : ""));
  }
  return event;
}

Outcome<> check_name(const std::string& name) {
  bool good = !name.empty() && name.size() <= kMaxNameBytes && is_lower_or_digit(name.front());
  for (const char c : name) {
    good = good && (is_lower_or_digit(c) || c == '_' || c == '.' || c == '-');
  }
  if (good) return {};
  return fail(ExitCode::kUsage, "'" + name +
                                    "' is not a function name: 1 to 64 of a-z 0-9 _ . -, "
                                    "beginning with a letter or digit");
}

bool is_request_id(const std::string& text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) {
      return false;
    }
  }
  return true;
}

}  // namespace sock::cli
