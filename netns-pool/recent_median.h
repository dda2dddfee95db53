#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace sock::netns {

/// The median of the latest 256 values.
class RecentMedian {
 public:
  void add(std::uint64_t value) {
    values_[added_++ % values_.size()] = static_cast<std::int64_t>(value);
  }
  [[nodiscard]] std::optional<std::int64_t> median() const {
    if (added_ == 0) return std::nullopt;
    const std::size_t count = std::min(added_, values_.size());
    std::vector<std::int64_t> sorted(values_.data(), values_.data() + count);
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(count / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }

 private:
  std::array<std::int64_t, 256> values_{};
  std::size_t added_ = 0;
};

}  // namespace sock::netns
