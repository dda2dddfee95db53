#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netns-pool/namespace_id.h"
#include "netns-pool/netlink_handles.h"
#include "netns-pool/route_request.h"

namespace sock::netns {

/// A link as the kernel lists it.
struct LinkInfo {
  int index = 0;
  std::string name;
  std::string kind;  ///< "bridge", "veth", …; empty for hardware and loopback
  std::uint32_t group = 0;
  bool running = false;  ///< passes packets: it has a carrier, and everything has noticed
};

/// A socket to rtnetlink(7) of one network namespace, whichever the calling thread is in. It keeps
/// the namespace alive. Every call waits for the kernel, which serialises all changes of links on
/// the machine: microseconds mostly, milliseconds while namespaces die. Not thread safe. Move only.
///
/// Errors carry the kernel's errno and, where it has any, its words.
class Rtnetlink {
 public:
  /// Of the calling thread's network namespace.
  [[nodiscard]] static Result<Rtnetlink> open();

  /// A bare socket in the calling thread's network namespace, to be sent to an adopter.
  [[nodiscard]] static Result<Fd> open_socket();

  /// Takes a descriptor that came from elsewhere, after proof that it is an rtnetlink socket in the
  /// namespace `where`; kInvalid otherwise.
  [[nodiscard]] static Result<Rtnetlink> adopt(Fd socket, const NamespaceId& where);

  /// Sends one request and waits for the kernel's verdict. `what` names the object in errors.
  [[nodiscard]] Result<> ask(const RouteRequest& request, std::string_view step,
                             std::string_view what);

  /// The link of this name; kNotFound when there is none.
  [[nodiscard]] Result<LinkInfo> link(std::string_view name);

  /// Whether the namespace takes packets to this address for its own.
  [[nodiscard]] Result<bool> is_local(const boost::asio::ip::address_v6& address);

  /// All links of the namespace.
  [[nodiscard]] Result<std::vector<LinkInfo>> links();

  /// Borrowed.
  [[nodiscard]] int fd() const;

 private:
  /// What the kernel said to the latest request, when it refused it.
  struct Refusal {
    int error = 0;
    std::string words;
  };

  [[nodiscard]] static Result<Rtnetlink> wrap(Fd socket);
  static int take_refusal(sockaddr_nl* from, nlmsgerr* answer, void* refusal);
  Rtnetlink(NetlinkSocket socket, std::unique_ptr<Refusal> refusal)
      : refusal_(std::move(refusal)), socket_(std::move(socket)) {}

  std::unique_ptr<Refusal> refusal_;  // its address is known to socket_
  NetlinkSocket socket_;
};

}  // namespace sock::netns
