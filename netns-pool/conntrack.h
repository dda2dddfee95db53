#pragma once

#include <boost/asio/ip/address_v4.hpp>
#include <cstdint>

#include "base/error.h"
#include "base/fd.h"

namespace sock::netns {

/// The kernel's memory of connections, in one network namespace. Not thread safe. Move only.
class Conntrack {
 public:
  /// Of the calling thread's network namespace.
  [[nodiscard]] static Result<Conntrack> open();

  /// Forgets all connections that were begun from this address in this zone. Needs Linux 6.11: an
  /// older one fails with EINVAL and changes nothing. The kernel goes through its whole table for
  /// it, 0.3 ms with 262,144 buckets, unless that is empty.
  ///
  /// Not for IPv6: up to 6.18 at least, the kernel's filter compares those addresses the wrong way
  /// round (ctnetlink_filter_match_tuple()) and would forget everybody else's.
  [[nodiscard]] Result<> forget(const boost::asio::ip::address_v4& source, std::uint16_t zone);

 private:
  explicit Conntrack(Fd socket) : socket_(std::move(socket)) {}

  Fd socket_;
};

}  // namespace sock::netns
