#include "bench/kept_connection.h"

#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <charconv>
#include <cstring>
#include <string_view>

#include "base/clock.h"

namespace sock::bench {
namespace {

constexpr time_t kAnswerWithin = 60;  // seconds

/// The value of a header in `head`, without blanks around it; empty when absent.
std::string_view header(std::string_view head, std::string_view name) {
  std::size_t line = head.find("\r\n");
  while (line != std::string_view::npos) {
    line += 2;
    const std::size_t end = head.find("\r\n", line);
    const auto text = head.substr(line, end - line);
    if (text.size() > name.size() && text[name.size()] == ':' &&
        ::strncasecmp(text.data(), name.data(), name.size()) == 0) {
      auto value = text.substr(name.size() + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    }
    line = end;
  }
  return {};
}

template <class T>
bool to_number(std::string_view text, T& out) {
  const auto* last = text.data() + text.size();
  return !text.empty() && std::from_chars(text.data(), last, out).ptr == last;
}

}  // namespace

Result<KeptConnection> KeptConnection::open(const std::string& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) {
    return fail(Code::kInvalid, "connect", socket + ": path too long");
  }
  std::memcpy(address.sun_path, socket.data(), socket.size());
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket", socket);
  const timeval wait{kAnswerWithin, 0};
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(fd.get(), SOL_SOCKET, option, &wait, sizeof wait) < 0) {
      return fail_errno("setsockopt", socket);
    }
  }
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno("connect", socket);
  }
  return KeptConnection(std::move(fd));
}

Result<> KeptConnection::send(const std::string& request) {
  std::string_view left = request;
  while (!left.empty()) {
    const ssize_t sent = ::send(fd_.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return fail_errno("send", "request");
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<> KeptConnection::receive() {
  char buffer[16384];
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got > 0) {
      input_.append(buffer, static_cast<std::size_t>(got));
      return {};
    }
    if (got == 0) return fail(Code::kInternal, "receive", "sockd closed the connection");
    if (errno == EAGAIN) return fail(Code::kTimeout, "receive", "no answer within a minute");
    if (errno != EINTR) return fail_errno("receive", "answer");
  }
}

Result<Answer> KeptConnection::invoke(const std::string& function, const std::string& event) {
  const std::string request = "POST /v1/functions/" + function +
                              "/invoke HTTP/1.1\r\nHost: sock\r\nContent-Type: application/json"
                              "\r\nContent-Length: " +
                              std::to_string(event.size()) + "\r\n\r\n" + event;
  const auto broken = [] { return fail(Code::kInternal, "receive", "not an HTTP answer"); };
  input_.clear();
  const auto began = Clock::now();
  if (auto sent = send(request); !sent) return std::unexpected(sent.error());
  std::size_t head_end = std::string::npos;
  while (head_end == std::string::npos) {
    if (auto received = receive(); !received) return std::unexpected(received.error());
    head_end = input_.find("\r\n\r\n");
  }
  std::size_t length = 0;
  const auto length_text =
      header(std::string_view(input_).substr(0, head_end + 2), "content-length");
  if (!to_number(length_text, length)) return broken();
  while (input_.size() < head_end + 4 + length) {
    if (auto received = receive(); !received) return std::unexpected(received.error());
  }
  Answer answer;
  answer.micros = micros_between(began, Clock::now());
  const auto head = std::string_view(input_).substr(0, head_end + 2);
  if (!head.starts_with("HTTP/1.1 ") || !to_number(head.substr(9, 3), answer.status)) {
    return broken();
  }
  answer.id = header(head, "x-sock-request-id");
  answer.start = header(head, "x-sock-start");
  answer.body = input_.substr(head_end + 4, length);
  return answer;
}

}  // namespace sock::bench
