#pragma once

#include <cstddef>
#include <cstdint>

namespace sock::pkgcache {

/// SplitMix64: small, and the same numbers on every host, unlike the standard's distributions.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
  }
  /// Below `n`, which is not 0.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  /// In [0, 1).
  double unit() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace sock::pkgcache
