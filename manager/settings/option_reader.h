#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// Both ends included.
template <class T>
struct Range {
  T low;
  T high;
};

/// Takes known keys out of a JSON object, checks type and range, and refuses everything else.
///
///     OptionReader reader(object, locate);
///     reader.size("memory", bytes, kMemoryRange);
///     return reader.finish();
///
/// A key that is absent leaves its output as it was. The first error wins: after it, every call
/// does nothing and finish() returns it. All errors are kInvalid. Not thread safe; the object must
/// outlive the reader.
class OptionReader {
 public:
  /// `locate(key)` starts an error's message, up to the key: "sockd.toml:12: [limits.max] ".
  using Locate = std::function<std::string(std::string_view key)>;

  OptionReader(const boost::json::object& object, Locate locate);

  void text(std::string_view key, std::string& out);
  /// Nothing when absent or after an error.
  [[nodiscard]] std::optional<std::string> text(std::string_view key);
  void flag(std::string_view key, bool& out);
  /// "256M" or a whole number of bytes.
  void size(std::string_view key, std::uint64_t& out, Range<std::uint64_t> range);
  /// "30s"; a bare number is refused, for nobody can tell its unit.
  void duration(std::string_view key, Millis& out, Range<Millis> range);
  void number(std::string_view key, std::uint32_t& out, Range<std::uint32_t> range);
  void whole(std::string_view key, std::uint64_t& out, Range<std::uint64_t> range);
  /// A number of cores with at most three decimals, kept in thousandths.
  void cpu(std::string_view key, std::uint32_t& millis, Range<std::uint32_t> range);
  /// An array of strings.
  void strings(std::string_view key, std::vector<std::string>& out);

  /// An array of strings, or one string; nothing when absent or after an error.
  [[nodiscard]] std::optional<std::vector<std::string>> one_or_more(std::string_view key);

  /// Marks `key` as known; its value, or nullptr when absent or after an error.
  [[nodiscard]] const boost::json::value* take(std::string_view key);
  /// A nested object; nullptr as for take(). `what` completes "must be …".
  [[nodiscard]] const boost::json::object* table(std::string_view key, std::string_view what);
  /// The strings of `value`, or an error on `key`.
  [[nodiscard]] std::optional<std::vector<std::string>> string_list(
      std::string_view key, const boost::json::value& value);
  void refuse(std::string_view key, const std::string& why);
  [[nodiscard]] const boost::json::object& object() const { return object_; }
  [[nodiscard]] bool failed() const { return error_.has_value(); }

  /// The first error; without one, keys that nobody took are the error.
  [[nodiscard]] Result<> finish();

 private:
  const boost::json::object& object_;
  Locate locate_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

}  // namespace sock::manager
