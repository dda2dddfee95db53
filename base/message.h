#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sock {

/// Messages with descriptors over SOCK_SEQPACKET sockets (unix(7), SCM_RIGHTS).

/// Most descriptors one message may carry.
inline constexpr std::size_t kMaxMessageFds = 16;

struct Received {
  std::size_t size = 0;  ///< bytes written to the caller's buffer; 0 means end of file
  std::vector<Fd> fds;   ///< close-on-exec
};

/// Sends one whole message. A full socket gives EAGAIN on non-blocking descriptors.
[[nodiscard]] Result<> send_message(int socket, std::span<const std::byte> bytes,
                                    std::span<const int> fds = {});

/// Receives one message. A message longer than `buffer`, or with more descriptors than
/// kMaxMessageFds, is an error and all its descriptors are closed.
[[nodiscard]] Result<Received> receive_message(int socket, std::span<std::byte> buffer,
                                               int flags = 0);

/// The same without allocating, for code between clone and exec and for memory that must stay
/// clean: fills `fds`, sets `fd_count`, returns recvmsg's result; a truncated message is -1 with
/// EMSGSIZE, its descriptors closed.
[[nodiscard]] ssize_t receive_into(int socket, std::span<std::byte> buffer, std::span<int> fds,
                                   std::size_t& fd_count, int flags = 0);

/// Two connected close-on-exec sockets; `type` may carry SOCK_NONBLOCK.
[[nodiscard]] Result<std::array<Fd, 2>> socket_pair(int type);

/// A POD seen as bytes.
template <class T>
[[nodiscard]] std::span<const std::byte> bytes_of(const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}
template <class T>
[[nodiscard]] std::span<std::byte> writable_bytes_of(T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  return std::as_writable_bytes(std::span<T, 1>(&value, 1));
}

}  // namespace sock
