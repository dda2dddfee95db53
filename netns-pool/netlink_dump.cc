#include "netns-pool/netlink_dump.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sock::netns {
namespace {

constexpr const char* kStep = "ask by netlink";
constexpr std::size_t kBuffer = 32768;  // the kernel's largest part of a list

Result<> send(int socket, const NetlinkQuestion& question, std::uint32_t sequence) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(question.payload.size()));
  header.nlmsg_type = question.type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | question.flags);
  header.nlmsg_seq = sequence;
  std::array<iovec, 2> parts{
      {{&header, sizeof header},
       {const_cast<char*>(question.payload.data()), question.payload.size()}}};
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (::sendmsg(socket, &message, 0) < 0) return fail_errno(kStep, std::string(question.what));
  return {};
}

/// One datagram, from the kernel: with CAP_NET_ADMIN in the namespace others could send, too.
Result<std::size_t> receive(int socket, std::span<char> buffer, std::string_view what) {
  for (;;) {
    sockaddr_nl from{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = ::recvmsg(socket, &message, MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(kStep, std::string(what));
    if (from.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) {
      return fail_errno(kStep, std::string(what) + ": the answer is too long", EMSGSIZE);
    }
    return static_cast<std::size_t>(size);
  }
}

/// What an NLMSG_ERROR or NLMSG_DONE says went wrong; 0: nothing.
int verdict(const nlmsghdr& message) {
  int error = 0;
  if (message.nlmsg_len >= NLMSG_LENGTH(sizeof error)) {
    std::memcpy(&error, NLMSG_DATA(&message), sizeof error);
  } else if (message.nlmsg_type == NLMSG_ERROR) {
    error = -EBADMSG;
  }
  return error < 0 ? -error : 0;
}

}  // namespace

void NetlinkAnswer::each(const std::function<void(const nlmsghdr&)>& visit) const {
  for (std::size_t at = 0; at < messages_.size();) {
    const auto& message = *reinterpret_cast<const nlmsghdr*>(messages_.data() + at);
    visit(message);
    at += NLMSG_ALIGN(message.nlmsg_len);
  }
}

void NetlinkAnswer::add(const nlmsghdr& message) {
  cut_ = cut_ || messages_.size() + message.nlmsg_len > kMost;
  if (cut_) return;
  messages_.append(reinterpret_cast<const char*>(&message), message.nlmsg_len);
  messages_.resize(NLMSG_ALIGN(messages_.size()));
}

Result<NetlinkAnswer> ask_netlink(int socket, const NetlinkQuestion& question) {
  static thread_local std::uint32_t sequence = 0;
  alignas(nlmsghdr) std::array<char, kBuffer> buffer;
  constexpr int kAttempts = 5;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (auto sent = send(socket, question, ++sequence); !sent) return std::unexpected(sent.error());
    NetlinkAnswer answer;
    bool changed = false;
    for (bool done = false; !done;) {
      auto size = receive(socket, buffer, question.what);
      if (!size) return std::unexpected(size.error());
      auto left = static_cast<std::uint32_t>(*size);
      for (auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
           NLMSG_OK(message, left) && !done; message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_seq != sequence) continue;
        changed = changed || (message->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
          if (const int error = verdict(*message); error != 0) {
            return fail_errno(kStep, std::string(question.what), error);
          }
          done = true;
        } else if (message->nlmsg_type >= NLMSG_MIN_TYPE) {
          answer.add(*message);
        }
      }
    }
    if (!changed) return answer;
  }
  return fail_errno(kStep, std::string(question.what) + ": it keeps changing", EAGAIN);
}

}  // namespace sock::netns
