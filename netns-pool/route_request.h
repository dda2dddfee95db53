#pragma once

#include <linux/rtnetlink.h>

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "netns-pool/netlink_handles.h"

namespace sock::netns {

/// One request to rtnetlink(7) while it is written: a header of the kernel's, then attributes.
/// What does not fit makes Rtnetlink refuse the whole request.
class RouteRequest {
 public:
  /// `type` is RTM_…; NLM_F_REQUEST and NLM_F_ACK are added to `flags`.
  template <class Header>
  RouteRequest(int type, int flags, const Header& header) : RouteRequest(type, flags) {
    append(&header, sizeof header);
  }

  RouteRequest& put(int attribute, std::string_view text);
  RouteRequest& put(int attribute, std::uint32_t value);
  RouteRequest& put(int attribute, std::uint8_t value);
  RouteRequest& put(int attribute, const boost::asio::ip::address& address);
  RouteRequest& put(int attribute, std::span<const std::uint8_t> bytes);

  /// An attribute made of those that `fill` puts.
  RouteRequest& nest(int attribute, const std::function<void(RouteRequest&)>& fill);

  /// A bare header in the middle, where the kernel wants one (VETH_INFO_PEER).
  template <class Header>
  RouteRequest& header(const Header& header) {
    append(&header, sizeof header);
    return *this;
  }

  /// What follows the netlink header; of a request that message() has. Borrowed.
  [[nodiscard]] std::span<const char> payload() const;

  /// Null when it could not be written in full.
  [[nodiscard]] nl_msg* message() const { return complete_ ? message_.get() : nullptr; }

 private:
  RouteRequest(int type, int flags);
  void append(const void* bytes, std::size_t size);
  void put_bytes(int attribute, const void* bytes, std::size_t size);

  NetlinkMessage message_;
  bool complete_ = false;
};

}  // namespace sock::netns
