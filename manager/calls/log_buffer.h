#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sock::manager {

/// Captures the beginning of a stream: keeps the first `limit` bytes and counts the rest. Bytes are
/// kept as they are, whatever they are. Not thread safe.
class LogBuffer {
 public:
  explicit LogBuffer(std::size_t limit) : limit_(limit) {}

  void append(std::string_view bytes);

  [[nodiscard]] const std::string& text() const { return text_; }
  /// Everything that arrived, kept or not.
  [[nodiscard]] std::uint64_t total_bytes() const { return total_; }
  [[nodiscard]] bool truncated() const { return total_ > text_.size(); }

  /// Gives the text away and starts anew.
  [[nodiscard]] std::string take();

 private:
  std::size_t limit_;
  std::string text_;
  std::uint64_t total_ = 0;
};

}  // namespace sock::manager
