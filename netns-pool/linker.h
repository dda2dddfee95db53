#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/error.h"
#include "netns-pool/netns.h"

namespace sock::netns {

/// Gives the namespaces of a pool the links they have beyond loopback. Called on the pool's loop.
struct Linker {
  virtual ~Linker() = default;

  /// Before a namespace enters the stock: its links, through which nothing may pass yet.
  [[nodiscard]] virtual boost::asio::awaitable<Result<>> plug(Netns& netns) = 0;

  /// After a lease: nothing passes any more, and nothing of what passed is remembered.
  [[nodiscard]] virtual boost::asio::awaitable<Result<>> dismiss(Netns& netns) = 0;
};

}  // namespace sock::netns
