#include "manager/api/api_json.h"

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>

namespace sock::manager {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// Length of the well-formed UTF-8 sequence at the front of `text`, or 0; `skip` is then the length
/// of the ill-formed one to replace (the "maximal subpart" of the Unicode standard, 3.9).
std::size_t sequence_length(std::string_view text, std::size_t& skip) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  skip = 1;
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;   // overlong
    if (lead == 0xed) high = 0x9f;  // surrogates
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;   // overlong
    if (lead == 0xf4) high = 0x8f;  // above U+10FFFF
  } else {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    skip = i;
    if (i >= text.size() || byte(i) < low || byte(i) > high) return 0;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}

/// Calls `plain(sequence)` for well-formed stretches without special characters, `special(c)` for
/// each ASCII byte that `is_special` says, and gives U+FFFD to `plain` for ill-formed ones.
template <class IsSpecial, class Plain, class Special>
void walk(std::string_view text, IsSpecial is_special, Plain plain, Special special) {
  std::size_t start = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c < 0x80 && !is_special(c)) {
      ++at;
      continue;
    }
    std::size_t skip = 0;
    const std::size_t length = sequence_length(text.substr(at), skip);
    if (length > 1) {
      at += length;
      continue;
    }
    plain(text.substr(start, at - start));
    if (length == 1) {
      special(text[at]);
      at += 1;
    } else {
      plain(kReplacement);
      at += skip;
    }
    start = at;
  }
  plain(text.substr(start));
}

template <std::integral T>
void append_number(std::string& out, T value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), static_cast<std::size_t>(end - digits.data()));
}

std::string_view type_name(Code code) {
  switch (code) {
    case Code::kAppError:
      return "Sock.AppError";
    case Code::kTimeout:
      return "Sock.Timeout";
    case Code::kOom:
      return "Sock.OutOfMemory";
    case Code::kKilled:
      return "Sock.Killed";
    case Code::kRejected:
      return "Sock.Rejected";
    case Code::kInvalid:
      return "Sock.Invalid";
    case Code::kNotFound:
      return "Sock.NotFound";
    case Code::kConflict:
      return "Sock.Conflict";
    case Code::kDraining:
      return "Sock.Draining";
    case Code::kInternal:
      return "Sock.Internal";
  }
  return "Sock.Internal";
}

/// Writes the members of one JSON object.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  void text(std::string_view key, std::string_view value) { append_json_string(name(key), value); }
  template <std::integral T>
  void number(std::string_view key, T value) {
    append_number(name(key), value);
  }
  void boolean(std::string_view key, bool value) { name(key) += value ? "true" : "false"; }
  void raw(std::string_view key, std::string_view json) { name(key) += json; }
  void end() { out_ += '}'; }

 private:
  std::string& name(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;
    out_ += "\":";
    return out_;
  }
  std::string& out_;
};

}  // namespace

std::string repair_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  walk(
      text, [](unsigned char) { return false; }, [&](std::string_view part) { out += part; },
      [&](char c) { out += c; });
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += '"';
  walk(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '"' || c == '\\'; },
      [&](std::string_view part) { out += part; },
      [&](char c) {
        out += '\\';
        switch (c) {
          case '"':
          case '\\':
            out += c;
            break;
          case '\b':
            out += 'b';
            break;
          case '\f':
            out += 'f';
            break;
          case '\n':
            out += 'n';
            break;
          case '\r':
            out += 'r';
            break;
          case '\t':
            out += 't';
            break;
          default:
            out += "u00";
            out += kDigits[static_cast<unsigned char>(c) >> 4];
            out += kDigits[static_cast<unsigned char>(c) & 15];
        }
      });
  out += '"';
}

unsigned status_of(Code code) {
  switch (code) {
    case Code::kAppError:
    case Code::kOom:
    case Code::kKilled:
      return 502;
    case Code::kTimeout:
      return 504;
    case Code::kRejected:
      return 429;
    case Code::kInvalid:
      return 422;
    case Code::kNotFound:
      return 404;
    case Code::kConflict:
      return 409;
    case Code::kDraining:
      return 503;
    case Code::kInternal:
      return 500;
  }
  return 500;
}

std::string error_json(const CallError& error, std::string_view request_id, JsonCheck& check) {
  const bool traced = !error.stack_trace.empty() && check.check_strings(error.stack_trace);
  std::string out;
  ObjectWriter object(out);
  object.text("errorType", error.type);
  object.text("errorMessage", error.message);
  object.raw("stackTrace", traced ? std::string_view(error.stack_trace) : "[]");
  object.text("requestId", request_id);
  object.text("code", to_string(error.code));
  object.end();
  return out;
}

std::string error_json(const Error& error) {
  std::string out;
  ObjectWriter object(out);
  object.text("errorType", type_name(error.code));
  object.text("errorMessage", error.describe());
  object.raw("stackTrace", "[]");
  object.text("requestId", "");
  object.text("code", to_string(error.code));
  object.end();
  return out;
}

std::string call_json(const CallRecord& call, JsonCheck& check) {
  std::string out;
  out.reserve(512 + call.result.size() + call.logs.size() + call.logs.size() / 8);
  ObjectWriter object(out);
  object.text("id", call.id);
  object.text("function", call.function);
  object.number("generation", call.generation);
  object.text("status", call.error ? to_string(call.error->code) : "ok");
  object.text("start", to_string(call.start));
  object.text("zygote", call.zygote);
  object.number("queue_us", call.queue_us);
  object.number("create_us", call.create_us);
  object.number("init_us", call.init_us);
  object.number("run_us", call.run_us);
  object.number("total_us", call.total_us);
  object.number("max_rss", call.max_rss_bytes);
  object.number("cpu_us", call.cpu_us);
  object.number("exit", call.exit_code);
  const bool has_result = !call.error && check.check(call.result, JsonCheck::Keys::kAny);
  object.raw("result", has_result ? std::string_view(call.result) : "null");
  if (call.error) {
    object.raw("error", error_json(*call.error, call.id, check));
  } else {
    object.raw("error", "null");
  }
  object.text("logs", call.logs);
  object.boolean("logs_truncated", call.logs_truncated);
  object.end();
  return out;
}

}  // namespace sock::manager
