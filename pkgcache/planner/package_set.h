#pragma once

#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sock::pkgcache {

/// A set of small integers below a size fixed at construction, as bits. Operations on two sets
/// expect both to have the same size. Not synchronised.
class PackageSet {
 public:
  PackageSet() = default;
  /// The empty set over 0 … size-1.
  explicit PackageSet(std::size_t size) : words_((size + 63) / 64) {}

  void insert(std::size_t i) { words_[i / 64] |= bit(i); }
  void erase(std::size_t i) { words_[i / 64] &= ~bit(i); }
  [[nodiscard]] bool contains(std::size_t i) const { return (words_[i / 64] & bit(i)) != 0; }

  [[nodiscard]] bool empty() const {
    for (const auto word : words_) {
      if (word != 0) return false;
    }
    return true;
  }
  [[nodiscard]] std::size_t count() const {
    std::size_t n = 0;
    for (const auto word : words_) n += static_cast<std::size_t>(std::popcount(word));
    return n;
  }
  [[nodiscard]] bool is_subset_of(const PackageSet& other) const {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      if ((words_[w] & ~other.words_[w]) != 0) return false;
    }
    return true;
  }

  PackageSet& operator|=(const PackageSet& other) {
    for (std::size_t w = 0; w < words_.size(); ++w) words_[w] |= other.words_[w];
    return *this;
  }
  PackageSet& operator&=(const PackageSet& other) {
    for (std::size_t w = 0; w < words_.size(); ++w) words_[w] &= other.words_[w];
    return *this;
  }
  PackageSet& operator-=(const PackageSet& other) {
    for (std::size_t w = 0; w < words_.size(); ++w) words_[w] &= ~other.words_[w];
    return *this;
  }

  /// Calls `visit(i)` for each member, the smallest first.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (auto rest = words_[w]; rest != 0; rest &= rest - 1) {
        visit(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      }
    }
  }

  /// The members, the smallest first.
  [[nodiscard]] std::vector<std::size_t> members() const {
    std::vector<std::size_t> out;
    for_each([&](std::size_t i) { out.push_back(i); });
    return out;
  }

  [[nodiscard]] std::size_t hash() const {
    std::uint64_t h = 0x9e3779b97f4a7c15U;
    for (const auto word : words_) {
      h = (h ^ word) * 0xff51afd7ed558ccdU;
      h ^= h >> 32U;
    }
    return h;
  }

  auto operator<=>(const PackageSet&) const = default;

 private:
  static std::uint64_t bit(std::size_t i) { return std::uint64_t{1} << (i % 64); }

  std::vector<std::uint64_t> words_;
};

struct PackageSetHash {
  std::size_t operator()(const PackageSet& set) const { return set.hash(); }
};

}  // namespace sock::pkgcache
