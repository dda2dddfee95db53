#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sock::pkgcache {

/// A version as PEP 440 defines it: [N!]N(.N)*[{a|b|rc}N][.postN][.devN][+local], with every
/// spelling the PEP says to normalise ("1.0-ALPHA.1", "v1.0", "1.0-1"). Debian's "1.5.3+dfsg" is
/// the public version 1.5.3 with a local part.
class Version {
 public:
  /// White space around it is ignored. Refused: anything else, more than 128 characters, and
  /// numbers of more than 18 digits.
  [[nodiscard]] static Result<Version> parse(std::string_view text);

  /// As written, without the white space around it.
  [[nodiscard]] const std::string& text() const { return text_; }

  /// PEP 440's order; trailing zeros of the release do not count ("1.0" == "1.0.0").
  [[nodiscard]] std::strong_ordering operator<=>(const Version& other) const;
  [[nodiscard]] bool operator==(const Version& other) const {
    return (*this <=> other) == std::strong_ordering::equal;
  }

  /// Alpha, beta, release candidate or development release.
  [[nodiscard]] bool is_prerelease() const { return pre_ || dev_; }
  [[nodiscard]] bool is_postrelease() const { return post_.has_value(); }
  [[nodiscard]] bool has_local() const { return !local_.empty(); }

  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  /// At least one number.
  [[nodiscard]] const std::vector<std::uint64_t>& release() const { return release_; }

  /// Without the local part.
  [[nodiscard]] Version without_local() const;
  /// Epoch and release alone.
  [[nodiscard]] Version base() const;

 private:
  struct Pre {
    char phase;  ///< 'a', 'b' or 'c' (release candidate)
    std::uint64_t number;
    auto operator<=>(const Pre&) const = default;
  };
  struct Local {
    bool numeric;  ///< numbers sort after words
    std::uint64_t number;
    std::string word;
    auto operator<=>(const Local&) const = default;
  };
  class Parser;

  std::string text_;
  std::uint64_t epoch_ = 0;
  std::vector<std::uint64_t> release_;
  std::optional<Pre> pre_;
  std::optional<std::uint64_t> post_;
  std::optional<std::uint64_t> dev_;
  std::vector<Local> local_;
};

}  // namespace sock::pkgcache
