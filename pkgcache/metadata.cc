#include "pkgcache/metadata.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxMetadata = 1 << 20;
constexpr std::size_t kMaxFileList = 8 << 20;
constexpr std::size_t kMaxRequirements = 5000;

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "metadata", std::move(message));
}

/// Regular files only: opening a FIFO would wait for a writer.
Result<std::string> read_regular(const fs::path& path, std::size_t limit) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return invalid(path.filename().string() + " is missing or not a regular file");
  }
  return read_file(AT_FDCWD, path.string(), limit);
}

std::optional<std::string> read_if_present(const fs::path& path, std::size_t limit) {
  auto text = read_regular(path, limit);
  if (!text) return std::nullopt;
  return std::move(*text);
}

/// The header fields of METADATA and PKG-INFO that matter here (core metadata: RFC 822 style).
struct Headers {
  std::string name;
  std::string version;
  std::vector<std::string> requirements;
};

Result<Headers> parse_headers(std::string_view text) {
  Headers out;
  std::string* folded = nullptr;  // the value that a continuation line goes on with
  for (const std::string_view line : split_lines(text)) {
    if (trim(line).empty()) break;  // the description follows
    if (is_space(line.front())) {
      if (folded != nullptr) (*folded += ' ') += trim(line);
      continue;
    }
    folded = nullptr;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return invalid("a header line has no ':'");
    const std::string field = to_lower(line.substr(0, colon));
    const std::string value(trim(line.substr(colon + 1)));
    if (field == "name" && out.name.empty()) {
      folded = &(out.name = value);
    } else if (field == "version" && out.version.empty()) {
      folded = &(out.version = value);
    } else if (field == "requires-dist") {
      if (out.requirements.size() == kMaxRequirements) return invalid("too many requirements");
      folded = &out.requirements.emplace_back(value);
    }
  }
  return out;
}

/// requires.txt: requirements, grouped in sections "[extra:marker]" of which either part may be
/// empty. Given back as PEP 508 lines.
Result<std::vector<std::string>> parse_requires(std::string_view text) {
  std::vector<std::string> out;
  std::string condition;
  for (std::string_view line : split_lines(text)) {
    line = trim(line);
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with('[')) {
      if (!line.ends_with(']')) return invalid("requires.txt: a section is not closed");
      line = line.substr(1, line.size() - 2);
      const std::string_view extra = trim(line.substr(0, line.find(':')));
      const std::string_view marker =
          line.contains(':') ? trim(line.substr(line.find(':') + 1)) : std::string_view{};
      if (!extra.empty() && !is_valid_name(extra)) {
        return invalid("requires.txt: '" + printable(extra) + "' cannot be an extra");
      }
      condition.clear();
      if (!marker.empty()) condition = "(" + std::string(marker) + ")";
      if (!extra.empty()) {
        if (!condition.empty()) condition += " and ";
        condition += "extra == '" + std::string(extra) + "'";
      }
      continue;
    }
    if (out.size() == kMaxRequirements) return invalid("too many requirements");
    // A requirement may bring a marker of its own besides the section's.
    const std::size_t semicolon = line.find(';');
    std::string requirement(trim(line.substr(0, semicolon)));
    std::string own;
    if (semicolon != std::string_view::npos) {
      own = "(" + std::string(trim(line.substr(semicolon + 1))) + ")";
    }
    if (!own.empty() || !condition.empty()) {
      requirement += "; ";
      requirement += own;
      if (!own.empty() && !condition.empty()) requirement += " and ";
      requirement += condition;
    }
    out.push_back(std::move(requirement));
  }
  return out;
}

/// The first component of each importable file that a wheel's RECORD or an egg's
/// installed-files.txt lists. Whatever is not an importable name falls out later.
ModuleNames modules_from_list(std::string_view text, bool csv) {
  ModuleNames out;
  for (std::string_view line : split_lines(text)) {
    line = trim(line);
    if (csv) {
      line = line.starts_with('"') ? line.substr(1, line.find('"', 1) - 1)
                                   : line.substr(0, line.find(','));
    }
    // installed-files.txt is relative to the .egg-info folder.
    if (!csv && line.starts_with("../")) line.remove_prefix(3);
    const std::size_t slash = line.find('/');
    const bool folder = slash != std::string_view::npos;
    if (folder && !line.ends_with(".py") && !line.ends_with(".so")) continue;
    std::string name = module_name_of(line.substr(0, slash), folder);
    if (!name.empty()) out.insert(std::move(name));
  }
  return out;
}

std::vector<std::string> keep_importable(const ModuleNames& names, const ModuleNames& importable) {
  std::vector<std::string> out;
  std::ranges::set_intersection(names, importable, std::back_inserter(out));
  return out;
}

/// The first source that names something importable: top_level.txt, the list of installed files,
/// a folder or module called like the package. (Debian ships RECORD files that list nothing but
/// the metadata, and top_level.txt files with names it does not install.)
std::vector<std::string> find_modules(const fs::path& folder, std::string_view package,
                                      const ModuleNames& importable) {
  if (const auto text = read_if_present(folder / "top_level.txt", kMaxMetadata)) {
    ModuleNames names;
    for (const std::string_view line : split_lines(*text)) names.emplace(trim(line));
    if (auto found = keep_importable(names, importable); !found.empty()) return found;
  }
  struct List {
    const char* file;
    bool csv;
  };
  for (const List& list : {List{"RECORD", true}, List{"installed-files.txt", false}}) {
    const auto text = read_if_present(folder / list.file, kMaxFileList);
    if (!text) continue;
    auto found = keep_importable(modules_from_list(*text, list.csv), importable);
    if (!found.empty()) return found;
  }
  std::vector<std::string> out;
  for (const std::string& name : importable) {
    if (normalise_name(name) == package) out.push_back(name);
  }
  return out;
}

}  // namespace

std::vector<std::string> Entry::needs() const {
  std::vector<std::string> out;
  for (const auto& [requirement, marker] : dependencies) {
    if (marker.evaluate()) out.push_back(requirement.name);
  }
  std::ranges::sort(out);
  const auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

Result<std::vector<ConditionalRequirement>> parse_dependencies(
    const std::vector<std::string>& lines, std::vector<std::string>& skipped) {
  std::vector<ConditionalRequirement> out;
  for (const std::string& line : lines) {
    auto parsed = parse_requirement(line);
    if (parsed) {
      out.push_back(std::move(*parsed));
      continue;
    }
    const std::string why = "requirement '" + printable(line) + "': " + parsed.error().message;
    // The marker may be readable where the rest is not.
    const std::size_t semicolon = line.find(';');
    const auto marker = semicolon == std::string::npos
                            ? Result<Marker>(Marker())
                            : Marker::parse(std::string_view(line).substr(semicolon + 1));
    if (!marker || !marker->mentions_extra() || marker->evaluate()) return invalid(why);
    skipped.push_back(why);
  }
  return out;
}

std::string module_name_of(std::string_view file_name, bool is_folder) {
  std::string_view name = file_name;
  if (!is_folder) {
    // Extension suffixes of CPython 3.11 on x86-64 Debian, longest first.
    static constexpr std::array<std::string_view, 4> kSuffixes = {
        ".cpython-311-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py"};
    const auto* const suffix = std::ranges::find_if(
        kSuffixes, [&](std::string_view candidate) { return name.ends_with(candidate); });
    if (suffix == kSuffixes.end()) return {};
    name.remove_suffix(suffix->size());
  }
  if (name == "__pycache__" || name.contains('.') || !is_module_name(name)) return {};
  return std::string(name);
}

Result<Entry> read_metadata(const fs::path& path, const ModuleNames& importable,
                            std::vector<std::string>& skipped) {
  std::error_code error;
  const bool egg = path.extension() == ".egg-info";
  const bool folder = fs::is_directory(path, error);
  if (!folder && !egg) return invalid("it is not a folder");
  const fs::path file = !folder ? path : path / (egg ? "PKG-INFO" : "METADATA");
  auto text = read_regular(file, kMaxMetadata);
  if (!text) return std::unexpected(text.error());
  auto headers = parse_headers(*text);
  if (!headers) return std::unexpected(headers.error());

  Entry entry;
  entry.metadata = path;
  if (!is_valid_name(headers->name)) {
    return invalid("'" + printable(headers->name) + "' is not a package name");
  }
  entry.package.name = normalise_name(headers->name);
  auto version = Version::parse(headers->version);
  if (!version) return invalid(version.error().message);
  entry.version = std::move(*version);
  entry.package.version = entry.version.text();

  std::vector<std::string> lines = std::move(headers->requirements);
  const fs::path requires_file = path / "requires.txt";
  if (egg && folder && fs::exists(requires_file, error)) {
    auto requires_text = read_regular(requires_file, kMaxMetadata);
    if (!requires_text) return std::unexpected(requires_text.error());
    auto parsed = parse_requires(*requires_text);
    if (!parsed) return std::unexpected(parsed.error());
    lines = std::move(*parsed);
  }
  auto dependencies = parse_dependencies(lines, skipped);
  if (!dependencies) return std::unexpected(dependencies.error());
  entry.dependencies = std::move(*dependencies);
  entry.modules = find_modules(path, entry.package.name, importable);
  return entry;
}

}  // namespace sock::pkgcache
