#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/version.h"

namespace sock::pkgcache {

/// One PEP 440 version specifier, e.g. ">=1.20" or "==2.*".
class Specifier {
 public:
  /// An operator and a version, with white space between and around them at will. A local
  /// part ("+x") only goes with == and !=, ".*" too, and "~=" wants two numbers at least.
  [[nodiscard]] static Result<Specifier> parse(std::string_view text);

  /// Whether an installed version satisfies it. Pre-releases count like any other version: the
  /// PEP's reluctance concerns the choice among candidates, and a host has only one.
  [[nodiscard]] bool contains(const Version& version) const;

  /// True for "==" and "===" with a full version: no two releases satisfy it.
  [[nodiscard]] bool pinned() const {
    return !prefix_ && (operator_ == Operator::kEqual || operator_ == Operator::kArbitrary);
  }

  /// Without white space, otherwise as written.
  [[nodiscard]] std::string to_string() const;

 private:
  enum class Operator {
    kCompatible,
    kEqual,
    kNotEqual,
    kLessEqual,
    kGreaterEqual,
    kLess,
    kGreater,
    kArbitrary,
  };

  [[nodiscard]] bool matches_prefix(const Version& version) const;
  [[nodiscard]] bool equals(const Version& version) const;

  Operator operator_ = Operator::kEqual;
  bool prefix_ = false;  ///< ends in ".*"
  Version version_;      ///< unused by kArbitrary
  std::string text_;     ///< what follows the operator
};

/// Comma-separated specifiers that must all hold. Empty: any version.
class SpecifierSet {
 public:
  /// At most 64 specifiers. An empty text is an empty set.
  [[nodiscard]] static Result<SpecifierSet> parse(std::string_view text);

  [[nodiscard]] bool contains(const Version& version) const;
  [[nodiscard]] bool empty() const { return specifiers_.empty(); }
  /// One specifier, and that names one version.
  [[nodiscard]] bool pinned() const { return specifiers_.size() == 1 && specifiers_[0].pinned(); }
  /// E.g. ">=1.20,<2".
  [[nodiscard]] std::string to_string() const;

 private:
  std::vector<Specifier> specifiers_;
};

}  // namespace sock::pkgcache
