#include "pkgcache/store/record.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include "base/text.h"
#include "pkgcache/store/inspect.h"
#include "pkgcache/text.h"

namespace sock::pkgcache {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFormat = 1;

std::unexpected<Error> invalid(std::string message) {
  return fail(Code::kInvalid, "record", std::move(message));
}

/// Takes members out of an object; remembers the first that was not as it must be.
class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  std::string text(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    if (value == nullptr || !value->is_string()) return refuse(key), std::string();
    return std::string(value->get_string());
  }

  std::int64_t number(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    const std::int64_t* const number = value == nullptr ? nullptr : value->if_int64();
    if (number == nullptr || *number < 0) return refuse(key), 0;
    return *number;
  }

  std::vector<std::string> texts(std::string_view key) {
    const json::value* const value = object_.if_contains(key);
    std::vector<std::string> out;
    if (value == nullptr || !value->is_array()) return refuse(key), out;
    for (const json::value& item : value->get_array()) {
      if (!item.is_string()) return refuse(key), out;
      out.emplace_back(item.get_string());
    }
    return out;
  }

  void refuse(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }

  [[nodiscard]] const std::string& wrong() const { return wrong_; }

 private:
  const json::object& object_;
  std::string wrong_;
};

/// A file name that stays where it is put.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         !name.contains('/') && !has_controls(name);
}

}  // namespace

std::string to_record(const StoredPackage& package) {
  json::array modules;
  for (const std::string& module : package.entry.modules) modules.emplace_back(module);
  json::array requires_texts;
  for (const auto& [requirement, marker] : package.entry.dependencies) {
    requires_texts.emplace_back(requirement.text);
  }
  json::object out;
  out["format"] = kFormat;
  out["name"] = package.package().name;
  out["version"] = package.package().version;
  out["digest"] = package.package().digest;
  out["wheel"] = package.wheel;
  out["files"] = package.files;
  out["bytes"] = package.bytes;
  out["installed_at"] = package.installed_at;
  out["metadata"] = package.entry.metadata.filename().native();
  out["modules"] = std::move(modules);
  out["requires"] = std::move(requires_texts);
  return json::serialize(out) + "\n";
}

Result<StoredPackage> from_record(std::string_view text, const std::filesystem::path& packages) {
  std::error_code error;
  const json::value document = json::parse(text, error);
  if (error || !document.is_object()) return invalid("not a JSON object");
  Reader reader(document.get_object());
  if (reader.number("format") != kFormat) return invalid("\"format\" is not 1");

  StoredPackage out;
  Package& package = out.entry.package;
  package.name = reader.text("name");
  package.version = reader.text("version");
  package.digest = reader.text("digest");
  out.wheel = reader.text("wheel");
  out.files = static_cast<std::uint64_t>(reader.number("files"));
  out.bytes = static_cast<std::uint64_t>(reader.number("bytes"));
  out.installed_at = reader.number("installed_at");
  const std::string metadata = reader.text("metadata");
  out.entry.modules = reader.texts("modules");
  const std::vector<std::string> requirements = reader.texts("requires");
  if (!is_plain_name(out.wheel)) reader.refuse("wheel");
  if (!is_plain_name(metadata)) reader.refuse("metadata");
  for (const std::string& module : out.entry.modules) {
    if (!is_module_name(module)) reader.refuse("modules");
  }
  for (const std::string& requirement : requirements) {
    auto parsed = parse_requirement(requirement);
    if (!parsed) {
      reader.refuse("requires");
      break;
    }
    out.entry.dependencies.push_back(std::move(*parsed));
  }
  if (!reader.wrong().empty()) return invalid("\"" + reader.wrong() + "\" is missing or wrong");
  if (auto checked = check_identity(package); !checked) return std::unexpected(checked.error());
  auto version = Version::parse(package.version);
  if (!version) return std::unexpected(version.error());
  out.entry.version = std::move(*version);
  out.entry.metadata = packages / folder_name(package) / metadata;
  return out;
}

}  // namespace sock::pkgcache
