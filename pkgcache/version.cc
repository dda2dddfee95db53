#include "pkgcache/version.h"

#include <algorithm>
#include <array>
#include <utility>

#include "pkgcache/text.h"

namespace sock::pkgcache {

namespace {

constexpr std::size_t kMaxLength = 128;
constexpr std::size_t kMaxDigits = 18;  // fits a std::uint64_t with room to spare

bool is_separator(char c) { return c == '.' || c == '-' || c == '_'; }

/// Compares releases as if the shorter one went on with zeros.
std::strong_ordering compare_release(const std::vector<std::uint64_t>& a,
                                     const std::vector<std::uint64_t>& b) {
  for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const std::uint64_t x = i < a.size() ? a[i] : 0;
    const std::uint64_t y = i < b.size() ? b[i] : 0;
    if (x != y) return x <=> y;
  }
  return std::strong_ordering::equal;
}

}  // namespace

class Version::Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  /// Fills `version`; false when the text is not a version.
  bool parse(Version& version) {
    if (!rest_.empty() && rest_.front() == 'v') rest_.remove_prefix(1);
    auto number = take_number();
    if (!number) return false;
    if (take('!')) {
      version.epoch_ = *number;
      number = take_number();
      if (!number) return false;
    }
    version.release_.push_back(*number);
    while (rest_.size() >= 2 && rest_[0] == '.' && is_digit(rest_[1])) {
      rest_.remove_prefix(1);
      number = take_number();
      if (!number) return false;
      version.release_.push_back(*number);
    }
    return take_pre(version) && take_post(version) && take_dev(version) && take_local(version) &&
           rest_.empty();
  }

 private:
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::optional<std::uint64_t> take_number() {
    std::size_t digits = 0;
    std::uint64_t value = 0;
    while (digits < rest_.size() && is_digit(rest_[digits])) {
      if (digits == kMaxDigits) return std::nullopt;
      value = value * 10 + static_cast<std::uint64_t>(rest_[digits] - '0');
      ++digits;
    }
    if (digits == 0) return std::nullopt;
    rest_.remove_prefix(digits);
    return value;
  }

  /// The number after a suffix, which may be left out ("1.0a" is "1.0a0"), with one separator
  /// before it at most. False when the number is too long.
  bool take_suffix_number(std::uint64_t& value) {
    value = 0;
    std::string_view after = rest_;
    if (!after.empty() && is_separator(after.front())) after.remove_prefix(1);
    if (after.empty() || !is_digit(after.front())) return true;
    rest_ = after;
    const auto number = take_number();
    if (!number) return false;
    value = *number;
    return true;
  }

  /// Takes "[separator]word" for the first word that matches; the index of the word.
  template <std::size_t N>
  std::optional<std::size_t> take_suffix_word(const std::array<std::string_view, N>& words) {
    const std::string_view before = rest_;
    if (!rest_.empty() && is_separator(rest_.front())) rest_.remove_prefix(1);
    for (std::size_t i = 0; i < N; ++i) {
      if (take_word(words[i])) return i;
    }
    rest_ = before;
    return std::nullopt;
  }

  bool take_pre(Version& version) {
    // Longer words first: "a" must not eat the start of "alpha".
    static constexpr std::array<std::string_view, 8> kWords = {"alpha",   "a",   "beta", "b",
                                                               "preview", "pre", "rc",   "c"};
    static constexpr std::array<char, 8> kPhases = {'a', 'a', 'b', 'b', 'c', 'c', 'c', 'c'};
    const auto word = take_suffix_word(kWords);
    if (!word) return true;
    std::uint64_t number = 0;
    if (!take_suffix_number(number)) return false;
    version.pre_ = Pre{kPhases.at(*word), number};
    return true;
  }

  bool take_post(Version& version) {
    if (rest_.size() >= 2 && rest_[0] == '-' && is_digit(rest_[1])) {  // "1.0-1"
      rest_.remove_prefix(1);
      version.post_ = take_number();
      return version.post_.has_value();
    }
    static constexpr std::array<std::string_view, 3> kWords = {"post", "rev", "r"};
    if (!take_suffix_word(kWords)) return true;
    std::uint64_t number = 0;
    if (!take_suffix_number(number)) return false;
    version.post_ = number;
    return true;
  }

  bool take_dev(Version& version) {
    static constexpr std::array<std::string_view, 1> kWords = {"dev"};
    if (!take_suffix_word(kWords)) return true;
    std::uint64_t number = 0;
    if (!take_suffix_number(number)) return false;
    version.dev_ = number;
    return true;
  }

  bool take_local(Version& version) {
    if (!take('+')) return true;
    do {
      std::size_t length = 0;
      while (length < rest_.size() && is_alnum(rest_[length])) ++length;
      if (length == 0) return false;
      const std::string_view word = rest_.substr(0, length);
      Local segment{std::ranges::all_of(word, is_digit), 0, {}};
      if (segment.numeric) {
        const auto number = take_number();
        if (!number) return false;
        segment.number = *number;
      } else {
        segment.word = word;
        rest_.remove_prefix(length);
      }
      version.local_.push_back(std::move(segment));
    } while (take('.') || take('-') || take('_'));
    return true;
  }

  std::string_view rest_;
};

Result<Version> Version::parse(std::string_view text) {
  text = trim(text);
  Version version;
  const std::string lowered = to_lower(text.substr(0, kMaxLength));
  if (text.size() > kMaxLength || !Parser(lowered).parse(version)) {
    return fail(Code::kInvalid, "version", "'" + printable(text) + "' is not a PEP 440 version");
  }
  version.text_ = text;
  return version;
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  if (const auto order = epoch_ <=> other.epoch_; std::is_neq(order)) return order;
  if (const auto order = compare_release(release_, other.release_); std::is_neq(order))
    return order;
  // 1.0.dev1 < 1.0a1 < 1.0: a development release of the final one comes before its alphas.
  const auto rank = [](const Version& v) {
    if (v.pre_) return 1;
    return v.dev_ && !v.post_ ? 0 : 2;
  };
  if (const auto order = rank(*this) <=> rank(other); std::is_neq(order)) return order;
  if (const auto order = pre_ <=> other.pre_; std::is_neq(order)) return order;
  if (const auto order = post_ <=> other.post_; std::is_neq(order)) return order;
  if (dev_.has_value() != other.dev_.has_value()) {
    return dev_ ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  if (const auto order = dev_ <=> other.dev_; std::is_neq(order)) return order;
  return local_ <=> other.local_;
}

Version Version::without_local() const {
  Version out = *this;
  out.local_.clear();
  out.text_ = text_.substr(0, text_.find('+'));
  return out;
}

Version Version::base() const {
  Version out;
  out.epoch_ = epoch_;
  out.release_ = release_;
  if (epoch_ != 0) out.text_ = std::to_string(epoch_) + "!";
  for (std::size_t i = 0; i < release_.size(); ++i) {
    if (i > 0) out.text_ += '.';
    out.text_ += std::to_string(release_[i]);
  }
  return out;
}

}  // namespace sock::pkgcache
