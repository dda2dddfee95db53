#include "manager/settings/toml_document.h"

#include <toml++/toml.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>

namespace sock::manager {
namespace {

class Converter {
 public:
  explicit Converter(TomlDocument& document) : document_(document) {}

  // Recursion is bounded by toml++, which refuses values nested deeper than
  // TOML_MAX_NESTED_VALUES (256).
  Result<boost::json::object> table(const toml::table& table, const std::string& prefix) {
    boost::json::object object;
    for (const auto& [key, node] : table) {
      const std::string path = prefix + std::string(key.str());
      document_.lines[path] = key.source().begin.line;
      auto converted = value(node, path);
      if (!converted) return std::unexpected(converted.error());
      object.emplace(key.str(), std::move(*converted));
    }
    return object;
  }

 private:
  Result<boost::json::value> value(const toml::node& node, const std::string& path) {
    if (const auto* text = node.as_string()) return boost::json::value(text->get());
    if (const auto* number = node.as_integer()) return boost::json::value(number->get());
    if (const auto* flag = node.as_boolean()) return boost::json::value(flag->get());
    if (const auto* real = node.as_floating_point()) {
      if (std::isfinite(real->get())) return boost::json::value(real->get());
      return refuse(path, "must be a finite number");
    }
    if (const auto* child = node.as_table()) {
      auto object = table(*child, path + ".");
      if (!object) return std::unexpected(object.error());
      return boost::json::value(std::move(*object));
    }
    if (const auto* items = node.as_array()) {
      boost::json::array array;
      for (const toml::node& item : *items) {
        auto converted = value(item, path);
        if (!converted) return converted;
        array.push_back(std::move(*converted));
      }
      return boost::json::value(std::move(array));
    }
    return refuse(path, "dates and times have no meaning here");
  }

  [[nodiscard]] std::unexpected<Error> refuse(const std::string& path,
                                              const std::string& why) const {
    return fail(Code::kInvalid, "toml", document_.where(path) + ": " + path + ": " + why);
  }

  TomlDocument& document_;
};

}  // namespace

std::string TomlDocument::where(const std::string& path) const {
  const auto line = lines.find(path);
  return line == lines.end() ? file : file + ":" + std::to_string(line->second);
}

Result<TomlDocument> parse_toml(std::string_view text, std::string file) {
  TomlDocument document{std::move(file), {}, {}};
  try {
    const toml::table table = toml::parse(text);
    auto root = Converter(document).table(table, "");
    if (!root) return std::unexpected(root.error());
    document.root = std::move(*root);
  } catch (const toml::parse_error& error) {
    return fail(Code::kInvalid, "toml",
                document.file + ":" + std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()));
  } catch (const std::exception& error) {
    return fail(Code::kInvalid, "toml", document.file + ": " + error.what());
  }
  return document;
}

}  // namespace sock::manager
