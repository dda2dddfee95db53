#include "pkgcache/store/pip_error.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "pkgcache/closure.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {
namespace {

constexpr std::size_t kMaxOutput = 1 << 20;
constexpr std::size_t kMaxListed = 10;  ///< versions, causes of a conflict, lines that take part

/// What stands between two marks, or up to the end when `after` is missing; nothing without
/// `before`.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  const std::size_t start = text.find(before);
  if (start == std::string_view::npos) return std::nullopt;
  text.remove_prefix(start + before.size());
  return text.substr(0, text.find(after));
}

/// "foo" of "foo[extra]<2,>=1".
std::string name_of(std::string_view requirement) {
  std::size_t end = 0;
  while (end < requirement.size() &&
         (is_alnum(requirement[end]) || std::string_view("._-").contains(requirement[end]))) {
    ++end;
  }
  return normalise_name(requirement.substr(0, end));
}

class Explanation {
 public:
  Explanation(const std::vector<Requirement>& requirements, std::string_view output)
      : requirements_(requirements),
        output_(output.substr(0, kMaxOutput)),
        lines_(split_lines(output_)) {}

  std::string message() const {
    using Reading = std::optional<std::string> (Explanation::*)() const;
    for (const Reading reading :
         {&Explanation::wrong_digest, &Explanation::digest_missing, &Explanation::conflict,
          &Explanation::wrong_python, &Explanation::no_candidate}) {
      if (auto found = (this->*reading)()) return std::move(*found);
    }
    return "pip could not resolve requirements.txt: " + last_resort();
  }

 private:
  /// The first line that contains the mark, and where it is; the end when none does.
  std::vector<std::string_view>::const_iterator find_line(std::string_view mark) const {
    return std::ranges::find_if(lines_, [&](std::string_view line) { return line.contains(mark); });
  }

  /// The requirement that an item of pip's stands for: "-r FILE (line 3)", or one by name.
  const Requirement* find_requirement(std::string_view item) const {
    if (const auto number = between(item, "(line ", ")")) {
      std::size_t line = 0;
      std::from_chars(number->data(), number->data() + number->size(), line);
      const auto found = std::ranges::find(requirements_, line, &Requirement::line);
      if (line > 0 && found != requirements_.end()) return &*found;
    }
    const std::string name = name_of(item);
    const Requirement* found = nullptr;
    for (const Requirement& requirement : requirements_) {
      if (requirement.name != name) continue;
      // The same name may be on several lines.
      if (item.ends_with(requirement.specifiers.to_string())) return &requirement;
      if (found == nullptr) found = &requirement;
    }
    return found;
  }

  /// The start of a message about `what`, for which pip gives an origin: "chain2->chain1",
  /// "a==1->-r FILE (line 1)", or nothing when a line asks for it.
  std::string begin(std::string_view what, std::string_view origin) const {
    const std::size_t last = origin.rfind("->");
    const std::string_view root = last == std::string_view::npos ? origin : origin.substr(last + 2);
    std::string_view parent = origin.substr(0, origin.find("->"));
    if (parent.starts_with("-r ")) parent = {};
    const Requirement* line = find_requirement(root.empty() ? what : root);
    // pip 23.0 tells who needs it, but not always who needs that one in turn.
    if (line == nullptr && requirements_.size() == 1) line = &requirements_.front();
    std::string start = line == nullptr ? "requirements.txt: " : at_line(*line);
    if (line != nullptr && line->name == name_of(what)) return start;
    if (line == nullptr || line->name != name_of(parent)) start += printable(parent);
    if (!start.ends_with(' ')) start += ' ';
    return start + "needs " + printable(what) + ": ";
  }

  std::optional<std::string> no_candidate() const {
    const auto line = find_line("Could not find a version that satisfies the requirement ");
    if (line == lines_.end()) return std::nullopt;
    const std::string_view rest = *between(*line, "satisfies the requirement ", "\n");
    const std::string_view what = rest.substr(0, rest.find(" (from "));
    const std::size_t listed = rest.rfind(" (from versions: ");
    std::string_view origin;
    if (listed != std::string_view::npos && listed > what.size()) {
      origin = rest.substr(what.size() + 7, listed - what.size() - 8);
    }
    const std::string start = begin(what, origin);
    const std::string_view versions = between(rest, " (from versions: ", ")").value_or("none");
    if (versions != "none") return start + "no wheel satisfies it; there are " + newest(versions);
    const auto ignored = find_line("require a different python version: ");
    if (ignored != lines_.end()) {
      return start + "its wheels are for another Python than this host's 3.11: " +
             printable(*between(*ignored, "python version: ", "\n"));
    }
    for (const std::string_view mark :
         {"connection broken by", "Could not fetch URL", "Max retries exceeded"}) {
      if (const auto trouble = find_line(mark); trouble != lines_.end()) {
        return start + "the index cannot be reached: " + printable(*trouble);
      }
    }
    return start +
           "no wheel of it is available for this host's Python 3.11 (source archives are "
           "not built)";
  }

  std::optional<std::string> conflict() const {
    const auto line = find_line(" because these package versions have conflicting dependencies");
    if (line == lines_.end()) return std::nullopt;
    const std::string_view items = between(*line, "Cannot install ", " because ").value_or("");
    std::vector<const Requirement*> parties;
    for (std::size_t start = 0; start < items.size() && parties.size() < kMaxListed;) {
      // "a, b and c"
      const std::size_t end = std::min(items.find(", ", start), items.find(" and ", start));
      const std::string_view item = items.substr(start, end - start);
      const Requirement* const party = find_requirement(item);
      if (party != nullptr && std::ranges::find(parties, party) == parties.end())
        parties.push_back(party);
      if (end == std::string_view::npos) break;
      start = end + (items[end] == ',' ? 2 : 5);
    }
    std::ranges::sort(parties, {}, &Requirement::line);
    std::string message = "requirements.txt";
    for (std::size_t i = 0; i < parties.size(); ++i) {
      message += i == 0 ? " line " : (i + 1 == parties.size() ? " and line " : ", line ");
      message += std::to_string(parties[i]->line) + " (" + printable(parties[i]->text) + ")";
    }
    message += ": the versions contradict each other";
    const auto heading = find_line("The conflict is caused by:");
    std::string_view separator = ": ";
    std::size_t count = 0;
    for (auto i = heading; i != lines_.end() && ++i != lines_.end() && i->starts_with("    ");) {
      if (++count > kMaxListed) break;
      message.append(separator).append(printable(trim(*i)));
      separator = "; ";
    }
    return message;
  }

  std::optional<std::string> wrong_digest() const {
    const auto heading = find_line("DO NOT MATCH THE HASHES");
    if (heading == lines_.end()) return std::nullopt;
    const auto after = [&](std::string_view mark) {
      return std::find_if(heading, lines_.end(),
                          [&](std::string_view line) { return trim(line).starts_with(mark); });
    };
    // "    foo==1.0 from URL (from -r FILE (line 1)):"
    const auto what = std::next(heading);
    const auto got = after("Got ");
    if (what == lines_.end()) return std::nullopt;
    const std::string_view item = trim(*what);
    std::string message =
        begin(item.substr(0, item.find(' ')), between(item, "(from ", "):").value_or(""));
    message += "what was found has none of the line's digests";
    if (got != lines_.end()) message += "; its sha256 is " + printable(trim(trim(*got).substr(4)));
    return message;
  }

  std::optional<std::string> digest_missing() const {
    auto heading = find_line("all requirements must have their versions pinned with ==");
    if (heading == lines_.end())
      heading = find_line("Hashes are required in --require-hashes mode");
    if (heading == lines_.end() || std::next(heading) == lines_.end()) return std::nullopt;
    // "    c<2 from URL (from a==1->-r FILE (line 1))" or "    c==1 --hash=sha256:…"
    const std::string_view item = trim(*std::next(heading));
    const std::string_view what = item.substr(0, item.find(' '));
    return begin(what, between(item, "(from ", "))").value_or("")) +
           "in hash-checking mode every package, also one that another needs, must have a line "
           "with "
           "its exact version and --hash";
  }

  std::optional<std::string> wrong_python() const {
    const auto line = find_line(" requires a different Python: ");
    if (line == lines_.end()) return std::nullopt;
    const std::string_view what = between(*line, "Package '", "'").value_or("");
    return begin(what, "") +
           "it requires another Python: " + printable(*between(*line, "different Python: ", "\n"));
  }

  std::string last_resort() const {
    const auto error = find_line("ERROR: ");
    if (error != lines_.end()) return in_quotes(trim(*between(*error, "ERROR: ", "\n")));
    for (auto i = lines_.rbegin(); i != lines_.rend(); ++i) {
      if (!trim(*i).empty()) return in_quotes(trim(*i));
    }
    return "it ended without a message";
  }

  /// The last ones of pip's ascending list.
  static std::string newest(std::string_view versions) {
    std::size_t start = versions.size();
    for (std::size_t i = 0; i < kMaxListed && start != std::string_view::npos; ++i) {
      start = start == 0 ? std::string_view::npos : versions.rfind(", ", start - 1);
    }
    if (start == std::string_view::npos) return printable(versions);
    return "…, " + printable(versions.substr(start + 2));
  }

  const std::vector<Requirement>& requirements_;
  const std::string_view output_;
  const std::vector<std::string_view> lines_;
};

}  // namespace

Error explain_pip_failure(const std::vector<Requirement>& requirements, std::string_view output) {
  return Error{.code = Code::kInvalid,
               .step = "packages",
               .sys_errno = 0,
               .message = Explanation(requirements, output).message()};
}

}  // namespace sock::pkgcache
