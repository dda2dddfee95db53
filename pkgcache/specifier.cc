#include "pkgcache/specifier.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

constexpr std::size_t kMaxSpecifiers = 64;

// In the order of Specifier::Operator.
constexpr std::array<std::string_view, 8> kOperators = {
    "~=", "==", "!=", "<=", ">=", "<", ">", "==="};

std::unexpected<Error> invalid(std::string_view text, std::string_view why) {
  return fail(Code::kInvalid, "specifier",
              "'" + printable(text) + "' is not a version specifier" + std::string(why));
}

}  // namespace

Result<Specifier> Specifier::parse(std::string_view text) {
  text = trim(text);
  // The longest operator wins: "===" before "==", "<=" before "<".
  std::size_t best = kOperators.size();
  for (std::size_t i = 0; i < kOperators.size(); ++i) {
    if (!text.starts_with(kOperators.at(i))) continue;
    if (best == kOperators.size() || kOperators.at(i).size() > kOperators.at(best).size()) best = i;
  }
  if (best == kOperators.size()) {
    return invalid(text, " such as '>=1.20' (use ==, !=, >=, <=, >, <, ~= or ===)");
  }
  Specifier out;
  out.operator_ = static_cast<Operator>(best);
  std::string_view operand = trim(text.substr(kOperators.at(best).size()));
  out.text_ = operand;
  if (out.operator_ == Operator::kArbitrary) {
    const auto allowed = [](char c) {
      return is_alnum(c) || std::string_view("._-+!").contains(c);
    };
    if (operand.empty() || operand.size() > 128 || !std::ranges::all_of(operand, allowed)) {
      return invalid(text, ": '===' wants one word of letters, digits, '.', '_', '-', '+' and '!'");
    }
    return out;
  }
  const bool equality = out.operator_ == Operator::kEqual || out.operator_ == Operator::kNotEqual;
  if (operand.ends_with(".*")) {
    if (!equality) return invalid(text, ": '.*' goes with == and != only");
    out.prefix_ = true;
    operand.remove_suffix(2);
    if (!operand.empty() && is_space(operand.back()))
      return invalid(text, ": there is a space before '.*'");
  }
  auto version = Version::parse(operand);
  if (!version) return invalid(text, ": " + version.error().message);
  if (version->has_local() && (!equality || out.prefix_)) {
    return invalid(text, ": a local version ('+…') goes with plain == and != only");
  }
  if (out.prefix_ && (version->is_prerelease() || version->is_postrelease())) {
    return invalid(text, ": '.*' must follow the release number");
  }
  if (out.operator_ == Operator::kCompatible && version->release().size() < 2) {
    return invalid(text, ": '~=' wants at least two numbers, e.g. ~=1.4");
  }
  out.version_ = std::move(*version);
  return out;
}

bool Specifier::matches_prefix(const Version& version) const {
  if (version.epoch() != version_.epoch()) return false;
  // "~=2.2.1" means ==2.2.* here, so its last number does not take part.
  const std::size_t length =
      version_.release().size() - (operator_ == Operator::kCompatible ? 1U : 0U);
  for (std::size_t i = 0; i < length; ++i) {
    const std::uint64_t number = i < version.release().size() ? version.release()[i] : 0;
    if (number != version_.release()[i]) return false;
  }
  return true;
}

bool Specifier::equals(const Version& version) const {
  if (prefix_) return matches_prefix(version);
  // Without a local part of its own a specifier accepts every local part.
  return version_.has_local() ? version == version_ : version.without_local() == version_;
}

bool Specifier::contains(const Version& version) const {
  const Version candidate = version.without_local();
  switch (operator_) {
    case Operator::kCompatible:
      return candidate >= version_ && matches_prefix(version);
    case Operator::kEqual:
      return equals(version);
    case Operator::kNotEqual:
      return !equals(version);
    case Operator::kLessEqual:
      return candidate <= version_;
    case Operator::kGreaterEqual:
      return candidate >= version_;
    case Operator::kLess:
      // "<3.1" excludes 3.1's own pre-releases, unless it names one.
      if (version >= version_) return false;
      return version_.is_prerelease() || !version.is_prerelease() ||
             version.base() != version_.base();
    case Operator::kGreater:
      // ">3.1" excludes 3.1's own post-releases, unless it names one, and 3.1+local.
      if (version <= version_) return false;
      if (version.base() != version_.base()) return true;
      return (version_.is_postrelease() || !version.is_postrelease()) && !version.has_local();
    case Operator::kArbitrary:
      return to_lower(version.text()) == to_lower(text_);
  }
  return false;
}

std::string Specifier::to_string() const {
  return std::string(kOperators.at(static_cast<std::size_t>(operator_))) + text_;
}

Result<SpecifierSet> SpecifierSet::parse(std::string_view text) {
  SpecifierSet out;
  text = trim(text);
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = trim(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (part.empty()) continue;  // a trailing comma is accepted by pip too
    if (out.specifiers_.size() == kMaxSpecifiers) {
      return fail(Code::kInvalid, "specifier",
                  "more than " + std::to_string(kMaxSpecifiers) + " version specifiers");
    }
    auto specifier = Specifier::parse(part);
    if (!specifier) return std::unexpected(specifier.error());
    out.specifiers_.push_back(std::move(*specifier));
  }
  return out;
}

bool SpecifierSet::contains(const Version& version) const {
  return std::ranges::all_of(specifiers_, [&](const auto& s) { return s.contains(version); });
}

std::string SpecifierSet::to_string() const {
  std::string out;
  for (const Specifier& specifier : specifiers_) {
    if (!out.empty()) out += ',';
    out += specifier.to_string();
  }
  return out;
}

}  // namespace sock::pkgcache
