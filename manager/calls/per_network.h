#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "manager/functions/network.h"

namespace sock::manager {

inline constexpr std::array kNetworks{Network::kNone, Network::kNat};

/// One T for each network class.
template <class T>
class PerNetwork {
 public:
  PerNetwork() = default;
  PerNetwork(T none, T nat) : each_{std::move(none), std::move(nat)} {}

  [[nodiscard]] T& operator[](Network network) { return each_[index(network)]; }
  [[nodiscard]] const T& operator[](Network network) const { return each_[index(network)]; }

  [[nodiscard]] auto begin() { return each_.begin(); }
  [[nodiscard]] auto end() { return each_.end(); }
  [[nodiscard]] auto begin() const { return each_.begin(); }
  [[nodiscard]] auto end() const { return each_.end(); }

 private:
  static constexpr std::size_t index(Network network) { return network == Network::kNone ? 0 : 1; }

  std::array<T, 2> each_{};
};

}  // namespace sock::manager
