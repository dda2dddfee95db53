#pragma once

#include <boost/json/object.hpp>
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sock::manager {

/// A TOML file as JSON values, so that one set of readers serves files and the API.
struct TomlDocument {
  std::string file;  ///< as error messages name it
  boost::json::object root;
  std::map<std::string, unsigned> lines;  ///< "limits.max.memory" → line, from 1

  /// "sockd.toml:12" for a known key, "sockd.toml" for others.
  [[nodiscard]] std::string where(const std::string& path) const;
};

/// Reads TOML 1.0. Syntax errors, dates and times (nothing here uses them), not-a-number and
/// infinities are kInvalid with file and line. Hostile input is fine: nesting is bounded.
[[nodiscard]] Result<TomlDocument> parse_toml(std::string_view text, std::string file);

}  // namespace sock::manager
