#pragma once

#include <compare>
#include <span>
#include <string>
#include <string_view>

namespace sock::pkgcache {

/// One package at one exact version, and from one exact source. `name` is normalised as PEP 503
/// says.
struct Package {
  std::string name;
  std::string version;
  std::string digest = {};  ///< sha256 of the wheel it was installed from; "": the host's own

  auto operator<=>(const Package&) const = default;
  /// For people.
  [[nodiscard]] std::string to_string() const { return name + "==" + version; }
  /// Tells apart what to_string() does not: wheels of the same version.
  [[nodiscard]] std::string key() const {
    return digest.empty() ? to_string() : to_string() + "#" + digest;
  }
};

/// Lower case, runs of "-", "_" and "." become one "-" (PEP 503).
[[nodiscard]] std::string normalise_name(std::string_view name);

/// True when `name` is a project or extra name as PEP 508 spells it: ASCII letters and digits,
/// with "-", "_" and "." inside, at most 128 characters.
[[nodiscard]] bool is_valid_name(std::string_view name);

/// True for a sha256 in lower-case hexadecimal.
[[nodiscard]] bool is_digest(std::string_view text);

/// True when every package of `inner`, at the same version, is in `outer`. Both sorted.
[[nodiscard]] bool is_subset(std::span<const Package> inner, std::span<const Package> outer);

}  // namespace sock::pkgcache
