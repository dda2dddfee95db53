#include "base/message.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

namespace sock {
namespace {

union ControlBuffer {
  cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
};

}  // namespace

Result<> send_message(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
  if (fds.size() > kMaxMessageFds) {
    return fail(Code::kInternal, "send message", "too many descriptors");
  }
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control{};
  if (!fds.empty()) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  for (;;) {
    const ssize_t n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("send message", std::to_string(bytes.size()) + " bytes");
    return {};
  }
}

ssize_t receive_into(int socket, std::span<std::byte> buffer, std::span<int> fds,
                     std::size_t& fd_count, int flags) {
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  ControlBuffer control;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  fd_count = 0;
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return n;
  bool overflow = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
      if (fd_count < fds.size()) {
        fds[fd_count++] = fd;
      } else {
        ::close(fd);
        overflow = true;
      }
    }
  }
  if (!overflow) return n;
  for (std::size_t i = 0; i < fd_count; ++i) ::close(fds[i]);
  fd_count = 0;
  errno = EMSGSIZE;
  return -1;
}

Result<Received> receive_message(int socket, std::span<std::byte> buffer, int flags) {
  std::array<int, kMaxMessageFds> fds;
  std::size_t fd_count = 0;
  const ssize_t n = receive_into(socket, buffer, fds, fd_count, flags);
  if (n < 0) return fail_errno("receive message", "");
  Received received;
  received.size = static_cast<std::size_t>(n);
  for (std::size_t i = 0; i < fd_count; ++i) received.fds.emplace_back(fds[i]);
  return received;
}

Result<std::array<Fd, 2>> socket_pair(int type) {
  int fds[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0) return fail_errno("socketpair", "");
  return std::array<Fd, 2>{Fd(fds[0]), Fd(fds[1])};
}

}  // namespace sock
