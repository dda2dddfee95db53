#pragma once

namespace sock::manager {

/// Which network a function's sandboxes join.
enum class Network {
  kNone,  ///< loopback only
  kNat,   ///< a link of its own, through which it may reach what its Egress says
};

}  // namespace sock::manager
