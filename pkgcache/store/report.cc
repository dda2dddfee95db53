#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "pkgcache/metadata.h"
#include "pkgcache/store/inspect.h"
#include "pkgcache/store/resolution.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxReport = 8 << 20;
constexpr std::size_t kMaxPackages = 500;
constexpr std::size_t kMaxDependencies = 5000;
constexpr std::size_t kMaxUrl = 4096;
constexpr std::size_t kMaxReason = 500;

std::unexpected<Error> invalid(const std::string& message) {
  return fail(Code::kInvalid, "resolution", "pip's report: " + message);
}

const json::object* object_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

/// Empty when it is missing or no text.
std::string_view text_in(const json::object* object, std::string_view key) {
  const json::value* const value = object == nullptr ? nullptr : object->if_contains(key);
  const json::string* const text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

bool flag_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// The last part of a URL's path, without the escapes; "" when these are wrong.
std::string file_of(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  url.remove_prefix(url.rfind('/') + 1);  // npos + 1 is 0
  std::string out;
  for (std::size_t i = 0; i < url.size(); ++i) {
    if (url[i] != '%') {
      out += url[i];
      continue;
    }
    if (i + 2 >= url.size()) return {};
    const int high = digit_value(url[i + 1]);
    const int low = digit_value(url[i + 2]);
    if (high < 0 || low < 0) return {};
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

/// NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl (PEP 427).
bool is_wheel_of(std::string_view file, const std::string& name, const Version& version) {
  const bool plain = std::ranges::all_of(
      file, [](char c) { return is_alnum(c) || std::string_view("._-+!").contains(c); });
  if (!plain || file.size() > 255 || !file.ends_with(".whl")) return false;
  file.remove_suffix(4);
  const auto dashes = std::ranges::count(file, '-');
  if (dashes != 4 && dashes != 5) return false;
  const std::size_t first = file.find('-');
  const std::size_t second = file.find('-', first + 1);
  std::string spelt(file.substr(first + 1, second - first - 1));
  std::ranges::replace(spelt, '_', '-');
  const auto parsed = Version::parse(spelt);
  return normalise_name(file.substr(0, first)) == name && parsed && *parsed == version;
}

/// "hashes" is the newer place, "hash" the only one that pip 23.0 fills.
std::string digest_in(const json::object& archive) {
  if (const json::object* const hashes = object_in(archive, "hashes")) {
    if (const std::string_view digest = text_in(hashes, "sha256"); !digest.empty()) {
      return std::string(digest);
    }
  }
  constexpr std::string_view kPrefix = "sha256=";
  const std::string_view text = text_in(&archive, "hash");
  return text.starts_with(kPrefix) ? std::string(text.substr(kPrefix.size())) : std::string();
}

Result<std::vector<ConditionalRequirement>> read_dependencies(const json::object& metadata,
                                                              const std::string& what) {
  const json::value* const list = metadata.if_contains("requires_dist");
  if (list == nullptr) return {};
  if (!list->is_array()) return invalid(what + ": \"requires_dist\" is not a list");
  if (list->get_array().size() > kMaxDependencies) return invalid(what + ": too many dependencies");
  std::vector<std::string> lines;
  for (const json::value& item : list->get_array()) {
    if (!item.is_string()) return invalid(what + ": a dependency is not a text");
    lines.emplace_back(item.get_string());
  }
  std::vector<std::string> skipped;  // extras that nobody can have asked for
  auto parsed = parse_dependencies(lines, skipped);
  if (!parsed) return invalid(what + ": " + parsed.error().message);
  return parsed;
}

Result<ResolvedWheel> read_wheel(const json::value& item) {
  const json::object* const install = item.if_object();
  const json::object* const metadata = install ? object_in(*install, "metadata") : nullptr;
  const json::object* const download = install ? object_in(*install, "download_info") : nullptr;
  if (metadata == nullptr || download == nullptr) {
    return invalid("an entry has no \"metadata\" or no \"download_info\"");
  }
  ResolvedWheel out;
  const std::string_view name = text_in(metadata, "name");
  if (!is_valid_name(name)) return invalid(in_quotes(name) + " is not a package name");
  out.package.name = normalise_name(name);
  auto version = Version::parse(text_in(metadata, "version"));
  if (!version) return invalid(out.package.name + ": " + version.error().message);
  out.version = std::move(*version);
  out.package.version = out.version.text();
  const std::string what = out.package.to_string();

  const std::string_view url = text_in(download, "url");
  const json::object* const archive = object_in(*download, "archive_info");
  if (archive == nullptr || flag_in(*install, "is_direct")) {
    return invalid(what +
                   " comes from version control, a folder or a direct reference; only wheels "
                   "from an index or a folder of wheels are taken");
  }
  if (url.size() > kMaxUrl || has_controls(url) ||
      !(url.starts_with("file:///") || url.starts_with("https://") || url.starts_with("http://"))) {
    return invalid(what + ": " + in_quotes(url) + " is not a URL that wheels are taken from");
  }
  out.url = url;
  out.file = file_of(url);
  if (!is_wheel_of(out.file, out.package.name, out.version)) {
    if (!out.file.ends_with(".whl")) {
      return invalid(what + " comes as " + in_quotes(out.file) +
                     ", which is no wheel; provide one, or choose a version that has wheels");
    }
    return invalid(what + ": " + in_quotes(out.file) + " is not the name of a wheel of it");
  }
  out.package.digest = digest_in(*archive);
  // Also what no store would take is refused before anything is downloaded.
  if (auto checked = check_identity(out.package); !checked) return invalid(checked.error().message);
  auto dependencies = read_dependencies(*metadata, what);
  if (!dependencies) return std::unexpected(dependencies.error());
  out.dependencies = std::move(*dependencies);
  out.requested = flag_in(*install, "requested");
  out.yanked = flag_in(*install, "is_yanked");
  out.yanked_reason = text_in(install, "yanked_reason").substr(0, kMaxReason);
  return out;
}

}  // namespace

Result<Resolution> parse_report(std::string_view text) {
  if (text.size() > kMaxReport) {
    return invalid("it is larger than " + std::to_string(kMaxReport >> 20U) + " MiB");
  }
  std::error_code error;
  const json::value document = json::parse(text, error);
  if (error || !document.is_object()) return invalid("it is not a JSON object");
  if (text_in(&document.get_object(), "version") != "1") return invalid("its version is not 1");
  const json::value* const list = document.get_object().if_contains("install");
  if (list == nullptr || !list->is_array()) return invalid("it has no list \"install\"");
  if (list->get_array().size() > kMaxPackages) {
    return invalid("more than " + std::to_string(kMaxPackages) + " packages are needed");
  }
  Resolution out;
  for (const json::value& item : list->get_array()) {
    auto wheel = read_wheel(item);
    if (!wheel) return std::unexpected(wheel.error());
    out.wheels.push_back(std::move(*wheel));
  }
  const auto name_of = [](const ResolvedWheel& wheel) -> const std::string& {
    return wheel.package.name;
  };
  std::ranges::sort(out.wheels, {}, name_of);
  const auto twice = std::ranges::adjacent_find(out.wheels, {}, name_of);
  if (twice != out.wheels.end()) return invalid("it has " + twice->package.name + " twice");
  return out;
}

}  // namespace sock::pkgcache
