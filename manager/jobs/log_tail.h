#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sock::manager {

/// Captures the end of a stream: keeps the last `limit` bytes. Bytes are kept as they are, whatever
/// they are. Not thread safe.
class LogTail {
 public:
  explicit LogTail(std::size_t limit) : limit_(limit) {}

  void append(std::string_view bytes) {
    if (bytes.size() > limit_) bytes.remove_prefix(bytes.size() - limit_);
    const std::size_t size = text_.size() + bytes.size();
    if (size > limit_) text_.erase(0, size - limit_);
    text_.append(bytes);
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::size_t limit_;
  std::string text_;
};

}  // namespace sock::manager
