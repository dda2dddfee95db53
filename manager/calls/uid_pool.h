#pragma once

#include <cstdint>
#include <optional>
#include <unordered_set>

namespace sock::manager {

/// User ids inside the sandboxes' namespace, one a sandbox at a time. Ids are handed out round
/// robin, so that one is not used again soon after its sandbox died. Not thread safe.
class UidPool {
 public:
  /// Ids first … last.
  UidPool(std::uint32_t first, std::uint32_t last) : first_(first), last_(last), next_(first) {}

  /// Empty when every id is in use.
  [[nodiscard]] std::optional<std::uint32_t> take() {
    if (used_.size() > last_ - first_) return std::nullopt;
    while (!used_.insert(next_).second) advance();
    const std::uint32_t uid = next_;
    advance();
    return uid;
  }

  void give_back(std::uint32_t uid) { used_.erase(uid); }

 private:
  void advance() { next_ = next_ == last_ ? first_ : next_ + 1; }

  std::uint32_t first_;
  std::uint32_t last_;
  std::uint32_t next_;
  std::unordered_set<std::uint32_t> used_;
};

}  // namespace sock::manager
