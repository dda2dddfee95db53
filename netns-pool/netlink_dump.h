#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sock::netns {

/// A question to the kernel whose answer is a list, or nothing but a verdict.
struct NetlinkQuestion {
  std::uint16_t type = 0;         ///< nlmsg_type
  std::uint16_t flags = 0;        ///< NLM_F_DUMP, or NLM_F_ACK for a request that only does things
  std::span<const char> payload;  ///< what follows the netlink header; borrowed
  std::string_view what;          ///< for error messages: "list of routes"
};

/// The messages of an answer, in the kernel's order.
class NetlinkAnswer {
 public:
  /// More is not kept: whoever fills a namespace with that much need not be told what of.
  static constexpr std::size_t kMost = 1 << 20;

  void each(const std::function<void(const nlmsghdr&)>& visit) const;
  [[nodiscard]] bool empty() const { return messages_.empty(); }
  [[nodiscard]] bool cut() const { return cut_; }

 private:
  friend Result<NetlinkAnswer> ask_netlink(int socket, const NetlinkQuestion& question);
  void add(const nlmsghdr& message);

  std::string messages_;
  bool cut_ = false;
};

/// Asks through any netlink socket, of its namespace wherever the thread is. A list that changed
/// while it was read is read again. Never waits: the kernel answers before send() returns.
/// Refusals come back with its errno. Not thread safe for one socket.
[[nodiscard]] Result<NetlinkAnswer> ask_netlink(int socket, const NetlinkQuestion& question);

}  // namespace sock::netns
