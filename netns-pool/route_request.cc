#include "netns-pool/route_request.h"

#include <netlink/attr.h>

#include <string>

namespace sock::netns {

RouteRequest::RouteRequest(int type, int flags)
    : message_(nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags)),
      complete_(message_ != nullptr) {}

void RouteRequest::append(const void* bytes, std::size_t size) {
  // libnl only reads what it is given.
  complete_ =
      complete_ && nlmsg_append(message_.get(), const_cast<void*>(bytes), size, NLMSG_ALIGNTO) == 0;
}

void RouteRequest::put_bytes(int attribute, const void* bytes, std::size_t size) {
  complete_ = complete_ && nla_put(message_.get(), attribute, static_cast<int>(size), bytes) == 0;
}

RouteRequest& RouteRequest::put(int attribute, std::string_view text) {
  const std::string terminated(text);
  put_bytes(attribute, terminated.c_str(), terminated.size() + 1);
  return *this;
}

RouteRequest& RouteRequest::put(int attribute, std::uint32_t value) {
  put_bytes(attribute, &value, sizeof value);
  return *this;
}

RouteRequest& RouteRequest::put(int attribute, std::uint8_t value) {
  put_bytes(attribute, &value, sizeof value);
  return *this;
}

RouteRequest& RouteRequest::put(int attribute, std::span<const std::uint8_t> bytes) {
  put_bytes(attribute, bytes.data(), bytes.size());
  return *this;
}

RouteRequest& RouteRequest::put(int attribute, const boost::asio::ip::address& address) {
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    put_bytes(attribute, bytes.data(), bytes.size());
  } else {
    const auto bytes = address.to_v6().to_bytes();
    put_bytes(attribute, bytes.data(), bytes.size());
  }
  return *this;
}

RouteRequest& RouteRequest::nest(int attribute, const std::function<void(RouteRequest&)>& fill) {
  nlattr* const start = complete_ ? nla_nest_start(message_.get(), attribute) : nullptr;
  complete_ = start != nullptr;
  if (!complete_) return *this;
  fill(*this);
  complete_ = complete_ && nla_nest_end(message_.get(), start) == 0;
  return *this;
}

std::span<const char> RouteRequest::payload() const {
  const nlmsghdr* header = nlmsg_hdr(message_.get());
  return {static_cast<const char*>(nlmsg_data(header)),
          static_cast<std::size_t>(nlmsg_datalen(header))};
}

}  // namespace sock::netns
