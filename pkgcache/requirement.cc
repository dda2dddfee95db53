#include "pkgcache/requirement.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/text.h"
#include "pkgcache/package.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

constexpr std::size_t kMaxBytes = 256U << 10;
constexpr std::size_t kMaxLines = 1000;
constexpr std::size_t kMaxExtras = 64;
constexpr std::string_view kFile = "requirements.txt";

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "requirements", std::move(message));
}

std::unexpected<Error> invalid_line(std::size_t line, std::string_view text, std::string_view why) {
  return invalid(std::string(kFile) + " line " + std::to_string(line) + ": '" + printable(text) +
                 "': " + std::string(why));
}

/// Name, extras and specifiers; the part before the marker.
Result<Requirement> parse_head(std::string_view text) {
  Requirement out;
  std::size_t end = 0;
  while (end < text.size() &&
         (is_alnum(text[end]) || text[end] == '.' || text[end] == '-' || text[end] == '_')) {
    ++end;
  }
  const std::string_view name = text.substr(0, end);
  if (!is_valid_name(name)) {
    return invalid("it does not start with a package name (letters, digits, '-', '_', '.')");
  }
  out.name = normalise_name(name);
  std::string_view rest = trim(text.substr(end));
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return invalid("']' is missing after the extras");
    std::string_view list = rest.substr(1, close - 1);
    rest = trim(rest.substr(close + 1));
    while (!trim(list).empty()) {
      const std::size_t comma = list.find(',');
      const std::string_view extra = trim(list.substr(0, comma));
      list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 1);
      if (!is_valid_name(extra)) return invalid("'" + printable(extra) + "' cannot be an extra");
      if (out.extras.size() == kMaxExtras) return invalid("too many extras");
      out.extras.push_back(normalise_name(extra));
    }
    std::ranges::sort(out.extras);
    const auto repeated = std::ranges::unique(out.extras);
    out.extras.erase(repeated.begin(), repeated.end());
  }
  if (rest.starts_with('@')) {
    return invalid("packages cannot be taken from a URL; name a package this host has");
  }
  if (rest.starts_with('(')) {
    if (!rest.ends_with(')')) return invalid("')' is missing after the versions");
    rest = rest.substr(1, rest.size() - 2);
  }
  auto specifiers = SpecifierSet::parse(rest);
  if (!specifiers) return invalid(specifiers.error().message);
  out.specifiers = std::move(*specifiers);
  return out;
}

/// A line of requirements.txt after continuations were joined.
struct LogicalLine {
  std::size_t number;  ///< of its first physical line
  std::string text;
};

/// pip's rules: a comment starts the line or follows white space; a comment line ends a
/// continuation.
std::vector<LogicalLine> join_lines(std::string_view text) {
  std::vector<LogicalLine> out;
  bool continues = false;
  std::size_t number = 0;
  for (const std::string_view line : split_lines(text)) {
    ++number;
    const bool comment = trim(line).starts_with('#');
    const bool goes_on = line.ends_with('\\') && !comment;
    std::string part(goes_on ? line.substr(0, line.size() - 1) : line);
    if (comment) part.insert(part.begin(), ' ');
    if (continues) {
      out.back().text += part;
    } else {
      out.push_back({number, std::move(part)});
    }
    continues = goes_on;
  }
  return out;
}

std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '#' && (i == 0 || is_space(line[i - 1]))) return line.substr(0, i);
  }
  return line;
}

/// True for "--name", "--name=…" and "--name …".
bool is_option(std::string_view line, std::string_view name) {
  if (!line.starts_with(name)) return false;
  line.remove_prefix(name.size());
  // Short options take their value directly: "-rfile".
  return line.empty() || is_space(line.front()) || line.front() == '=' || name.size() == 2;
}

/// Why a line that is no requirement cannot be used; empty when it may be one.
std::string_view refusal(std::string_view line) {
  struct Kind {
    std::string_view option;
    std::string_view why;
  };
  static constexpr std::string_view kEditable =
      "editable installs are not supported; put the code into the function's folder";
  static constexpr std::string_view kInclude =
      "other requirements files are not read; copy their lines into this file";
  static constexpr std::string_view kConstraint =
      "constraints files are not read; put the versions into this file";
  static constexpr std::string_view kIndex =
      "nothing is downloaded from an index; remove the line (available packages: sockctl packages)";
  static constexpr std::array<Kind, 12> kKinds = {{
      {"--editable", kEditable},
      {"--requirement", kInclude},
      {"--constraint", kConstraint},
      {"--index-url", kIndex},
      {"--extra-index-url", kIndex},
      {"--no-index", kIndex},
      {"--find-links", kIndex},
      {"-e", kEditable},
      {"-r", kInclude},
      {"-c", kConstraint},
      {"-i", kIndex},
      {"-f", kIndex},
  }};
  for (const Kind& kind : kKinds) {
    if (is_option(line, kind.option)) return kind.why;
  }
  if (line.starts_with('-')) return "pip's options are not supported; remove the line";

  const std::string_view head = trim(line.substr(0, line.find(';')));
  // "name @ reference", but not the "@" inside a reference ("git+ssh://git@host/x@main").
  const std::size_t at = head.find_first_of("@:/+");
  const bool named = at != std::string_view::npos && head[at] == '@';
  const std::string_view target = named ? trim(head.substr(at + 1)) : head;
  const std::string lowered = to_lower(target);
  for (const std::string_view vcs : {"git+", "hg+", "svn+", "bzr+"}) {
    if (lowered.starts_with(vcs)) {
      return "packages cannot be taken from version control; name a package this host has, or put "
             "the code into the function's folder";
    }
  }
  if (lowered.contains("://") || lowered.starts_with("file:")) {
    return "packages cannot be taken from a URL; name a package this host has, or put the code "
           "into the function's folder";
  }
  static constexpr std::string_view kPath =
      "packages cannot be taken from a path; name a package this host has, or put the code into "
      "the function's folder";
  if (head.starts_with('.') || head.starts_with('~') || head.contains('/') || head.contains('\\')) {
    return kPath;
  }
  for (const std::string_view suffix : {".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz"}) {
    // "name===1.0.zip" is a version, however odd.
    if (lowered.ends_with(suffix) && lowered.find_first_of("=<>~!") == std::string::npos) {
      return kPath;
    }
  }
  return {};
}

/// Cuts the options off the end of a requirement and keeps the digests of --hash; an error text for
/// any other option.
std::string_view cut_options(std::string_view& line, std::vector<std::string>& hashes) {
  std::size_t start = 0;
  while ((start = line.find("--", start)) != std::string_view::npos) {
    if (start > 0 && is_space(line[start - 1])) break;
    ++start;
  }
  if (start == std::string_view::npos) return {};
  std::string_view options = line.substr(start);
  line = trim(line.substr(0, start));
  while (!options.empty()) {
    if (!is_option(options, "--hash")) {
      return "of pip's options only --hash is accepted here; remove the others";
    }
    options.remove_prefix(std::string_view("--hash").size());
    options.remove_prefix(options.starts_with('=') ? 1 : 0);
    options = trim(options);
    std::size_t end = 0;
    while (end < options.size() && !is_space(options[end])) ++end;
    const std::string_view value = options.substr(0, end);
    constexpr std::string_view kAlgorithm = "sha256:";
    const std::string digest(value.substr(std::min(value.size(), kAlgorithm.size())));
    if (!value.starts_with(kAlgorithm) || !is_digest(to_lower(digest))) {
      return "--hash wants sha256: and 64 hexadecimal digits, as pip hash prints them";
    }
    hashes.push_back(to_lower(digest));
    options = trim(options.substr(end));
  }
  std::ranges::sort(hashes);
  const auto repeated = std::ranges::unique(hashes);
  hashes.erase(repeated.begin(), repeated.end());
  return {};
}

/// Nothing when the line's marker does not hold.
Result<std::optional<Requirement>> parse_line(std::size_t number, std::string_view line) {
  const std::string_view whole = line;
  if (const std::string_view why = refusal(line); !why.empty()) {
    return invalid_line(number, whole, why);
  }
  std::vector<std::string> hashes;
  if (const std::string_view why = cut_options(line, hashes); !why.empty()) {
    return invalid_line(number, whole, why);
  }
  auto parsed = parse_requirement(line);
  if (!parsed) return invalid_line(number, whole, parsed.error().message);
  if (!parsed->marker.evaluate()) return std::nullopt;
  parsed->requirement.line = number;
  parsed->requirement.hashes = std::move(hashes);
  return std::move(parsed->requirement);
}

/// pip's hash-checking mode: one line with a digest obliges all of them.
Result<> check_hashes(const std::vector<Requirement>& requirements) {
  if (!needs_wheels(requirements)) return {};
  for (const Requirement& requirement : requirements) {
    if (requirement.hashes.empty()) {
      return invalid_line(requirement.line, requirement.text,
                          "--hash is missing; when one line has it, all must");
    }
    if (!requirement.specifiers.pinned()) {
      return invalid_line(requirement.line, requirement.text,
                          "a line with --hash must name the exact version with '=='");
    }
  }
  return {};
}

}  // namespace

Result<ConditionalRequirement> parse_requirement(std::string_view text) {
  text = trim(text);
  const std::size_t semicolon = text.find(';');
  auto requirement = parse_head(trim(text.substr(0, semicolon)));
  if (!requirement) return std::unexpected(requirement.error());
  requirement->text = text;
  Marker marker;
  if (semicolon != std::string_view::npos) {
    auto parsed = Marker::parse(text.substr(semicolon + 1));
    if (!parsed) return invalid(parsed.error().message);
    marker = std::move(*parsed);
  }
  return ConditionalRequirement{std::move(*requirement), std::move(marker)};
}

Result<std::vector<Requirement>> parse_requirements(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return invalid(std::string(kFile) + " is larger than " + std::to_string(kMaxBytes / 1024) +
                   " KiB");
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // byte order mark
  if (text.contains('\0')) return invalid(std::string(kFile) + " contains a NUL byte");
  if (!is_utf8(text)) {
    return invalid(std::string(kFile) + " is not UTF-8; save it with that encoding");
  }
  if (split_lines(text).size() > kMaxLines) {
    return invalid(std::string(kFile) + " has more than " + std::to_string(kMaxLines) + " lines");
  }
  std::vector<Requirement> out;
  for (const LogicalLine& logical : join_lines(text)) {
    const std::string_view line = trim(without_comment(logical.text));
    if (line.empty()) continue;
    auto requirement = parse_line(logical.number, line);
    if (!requirement) return std::unexpected(requirement.error());
    if (auto& applies = *requirement) out.push_back(std::move(*applies));
  }
  if (auto checked = check_hashes(out); !checked) return std::unexpected(checked.error());
  return out;
}

bool needs_wheels(const std::vector<Requirement>& requirements) {
  return std::ranges::any_of(requirements, [](const auto& each) { return !each.hashes.empty(); });
}

std::string to_requirements_text(const std::vector<Requirement>& requirements) {
  std::string out;
  std::size_t line = 1;
  for (const Requirement& requirement : requirements) {
    for (; line < requirement.line; ++line) out += '\n';
    out += requirement.name;
    std::string_view separator = "[";
    for (const std::string& extra : requirement.extras) {
      out.append(separator).append(extra);
      separator = ",";
    }
    if (!requirement.extras.empty()) out += ']';
    out += requirement.specifiers.to_string();
    for (const std::string& digest : requirement.hashes) out += " --hash=sha256:" + digest;
    out += '\n';
    ++line;
  }
  return out;
}

}  // namespace sock::pkgcache
