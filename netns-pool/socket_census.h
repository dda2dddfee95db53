#pragma once

#include <cstdint>

#include "base/error.h"
#include "base/fd.h"
#include "netns-pool/namespace_id.h"

namespace sock::netns {

/// A sock_diag(7) socket inside a network namespace, for questions about it from outside. It keeps
/// the namespace alive. Move only.
class SocketCensus {
 public:
  SocketCensus() = default;

  /// The socket, made in the calling thread's network namespace.
  [[nodiscard]] static Result<Fd> open();

  /// Takes a descriptor that came from elsewhere, after proof that it is such a socket in the
  /// namespace `where`; kInvalid otherwise.
  [[nodiscard]] static Result<SocketCensus> adopt(Fd socket, const NamespaceId& where);

  [[nodiscard]] bool valid() const { return socket_.valid(); }
  /// Borrowed; -1 when empty.
  [[nodiscard]] int fd() const { return socket_.get(); }

  /// The namespace's number among all since boot (SO_NETNS_COOKIE, Linux 5.14).
  [[nodiscard]] Result<std::uint64_t> cookie() const;

  /// Whether the namespace has no socket of the AF_UNIX family, those on their way in messages
  /// included, which may outlive every process that made them. About 10 µs.
  [[nodiscard]] Result<bool> no_unix_socket();

 private:
  Fd socket_;
};

}  // namespace sock::netns
