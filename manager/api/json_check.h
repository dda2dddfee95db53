#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "base/error.h"

namespace sock::manager {

/// Checks that a text is one JSON document (RFC 8259) without building it: valid UTF-8, no NaN or
/// comments, at most kMaxDepth nested arrays and objects. Numbers may have any size and precision.
///
/// Keeps its memory between calls. Not thread safe; movable.
class JsonCheck {
 public:
  static constexpr std::size_t kMaxDepth = 512;

  enum class Keys {
    kUnique,  ///< no object may have a key twice: readers disagree on which one counts
    kAny,     ///< as RFC 8259 itself allows; what Python makes of {1: 0, "1": 0}
  };

  JsonCheck();
  JsonCheck(JsonCheck&&) noexcept;
  JsonCheck& operator=(JsonCheck&&) noexcept;
  ~JsonCheck();

  /// kInvalid says what is wrong and at which byte.
  [[nodiscard]] Result<> check(std::string_view text, Keys keys = Keys::kUnique);

  /// The same, and that the document is an array of strings.
  [[nodiscard]] Result<> check_strings(std::string_view text);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace sock::manager
