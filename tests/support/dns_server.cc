#include "tests/support/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>

namespace sock::test_support {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kA = 1, kAaaa = 28, kOpt = 41;
constexpr unsigned kResponse = 0x8000, kTruncated = 0x0200, kRecursionDesired = 0x0100,
                   kRecursionAvailable = 0x0080, kNoSuchName = 3;

unsigned number_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]) * 256U + static_cast<unsigned char>(bytes[at + 1]);
}

void append(std::string& bytes, unsigned number) {
  bytes += static_cast<char>(number >> 8 & 0xff);
  bytes += static_cast<char>(number & 0xff);
}

struct Request {
  DnsQuery query;
  std::string_view question;  ///< as it is repeated in the answer
};

/// RFC 1035, section 4: one question, perhaps with an OPT record (RFC 6891) behind it.
std::optional<Request> parse(std::string_view bytes) {
  if (bytes.size() < kHeader || number_at(bytes, 4) != 1) return {};
  Request request;
  std::size_t at = kHeader;
  for (;;) {
    if (at >= bytes.size()) return {};
    const std::size_t length = static_cast<unsigned char>(bytes[at++]);
    if (length == 0) break;
    if (length > 63 || at + length > bytes.size()) return {};
    if (!request.query.name.empty()) request.query.name += '.';
    for (const char c : bytes.substr(at, length)) {
      request.query.name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    at += length;
  }
  if (at + 4 > bytes.size()) return {};
  request.query.type = static_cast<std::uint16_t>(number_at(bytes, at));
  at += 4;
  request.question = bytes.substr(kHeader, at - kHeader);
  request.query.edns = at + 3 <= bytes.size() && bytes[at] == 0 && number_at(bytes, at + 1) == kOpt;
  return request;
}

/// The records of one type, as they stand in an answer.
std::string records_of(const DnsRecords& records, std::uint16_t type, unsigned& count) {
  if (type != kA && type != kAaaa) return {};
  const int family = type == kA ? AF_INET : AF_INET6;
  const unsigned size = type == kA ? 4 : 16;
  std::string out;
  for (const auto& text : type == kA ? records.ipv4 : records.ipv6) {
    std::array<char, 16> address{};
    if (::inet_pton(family, text.c_str(), address.data()) != 1) continue;
    append(out, 0xc000 | kHeader);  // the name of the question
    append(out, type);
    append(out, 1);  // the internet
    append(out, 0);
    append(out, 60);  // seconds to live
    append(out, size);
    out.append(address.data(), size);
    ++count;
  }
  return out;
}

Result<Fd> bound_socket(int type, const sockaddr_storage& address) {
  Fd made(::socket(address.ss_family, type | SOCK_CLOEXEC, 0));
  if (!made) return fail_errno("dns server", "socket");
  const int on = 1;
  if (::setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
      ::bind(made.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
    return fail_errno("dns server", "bind");
  }
  return made;
}

sockaddr_storage socket_address(const std::string& text, std::uint16_t port) {
  sockaddr_storage address{};
  auto& four = reinterpret_cast<sockaddr_in&>(address);
  auto& six = reinterpret_cast<sockaddr_in6&>(address);
  if (::inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
  } else if (::inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
  }
  return address;
}

bool receive_all(int socket, char* bytes, std::size_t size) {
  return ::recv(socket, bytes, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

}  // namespace

DnsZone example_zone() {
  DnsRecords big;
  big.tcp_only = true;
  for (int i = 1; i <= 60; ++i) big.ipv4.push_back("10.0.0." + std::to_string(i));
  return {{"server.test", {{"203.0.113.9"}, {"2001:db8:2::9"}}},
          {"four.test", {{"203.0.113.9"}, {}}},
          {"big.test", std::move(big)}};
}

Result<std::unique_ptr<DnsServer>> DnsServer::start(const std::string& address, DnsZone zone,
                                                    std::uint16_t port) {
  const sockaddr_storage where = socket_address(address, port);
  auto udp = bound_socket(SOCK_DGRAM, where);
  if (!udp) return std::unexpected(udp.error());
  auto tcp = bound_socket(SOCK_STREAM, where);
  if (!tcp) return std::unexpected(tcp.error());
  Fd end(::eventfd(0, EFD_CLOEXEC));
  if (!end || ::listen(tcp->get(), 16) < 0) return fail_errno("dns server", "listen");
  return std::unique_ptr<DnsServer>(
      new DnsServer(std::move(zone), std::move(*udp), std::move(*tcp), std::move(end)));
}

DnsServer::DnsServer(DnsZone zone, Fd udp, Fd tcp, Fd end)
    : zone_(std::move(zone)),
      udp_(std::move(udp)),
      tcp_(std::move(tcp)),
      end_(std::move(end)),
      thread_([this] { serve(); }) {}

DnsServer::~DnsServer() { (void)stop(); }

std::vector<DnsQuery> DnsServer::stop() {
  if (thread_.joinable()) {
    (void)::eventfd_write(end_.get(), 1);
    thread_.join();
  }
  return queries_;
}

void DnsServer::serve() {
  for (;;) {
    std::array<pollfd, 3> ready{
        {{end_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    // What has come is answered first, so that nothing is missing in what stop() returns.
    if (ready[1].revents != 0) serve_datagram();
    if (ready[2].revents != 0) serve_connection();
    if (ready[0].revents != 0) return;
  }
}

void DnsServer::serve_datagram() {
  std::string request(4096, '\0');
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  const ssize_t n = ::recvfrom(udp_.get(), request.data(), request.size(), MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&peer), &size);
  if (n < 0) return;
  request.resize(static_cast<std::size_t>(n));
  const std::string answer = answer_to(request, false);
  if (answer.empty()) return;
  (void)::sendto(udp_.get(), answer.data(), answer.size(), 0,
                 reinterpret_cast<const sockaddr*>(&peer), size);
}

/// All questions of one connection; nobody else is served meanwhile, and nobody waited for long.
void DnsServer::serve_connection() {
  const Fd peer(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) return;
  const timeval patience{2, 0};
  (void)::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  for (;;) {
    std::string length(2, '\0');
    if (!receive_all(peer.get(), length.data(), length.size())) return;
    std::string request(number_at(length, 0), '\0');
    if (!receive_all(peer.get(), request.data(), request.size())) return;
    const std::string answer = answer_to(request, true);
    if (answer.empty()) return;
    std::string framed;
    append(framed, static_cast<unsigned>(answer.size()));
    framed += answer;
    if (::send(peer.get(), framed.data(), framed.size(), MSG_NOSIGNAL) < 0) return;
  }
}

std::string DnsServer::answer_to(const std::string& bytes, bool tcp) {
  auto request = parse(bytes);
  if (!request) return {};
  request->query.tcp = tcp;
  const auto found = zone_.find(request->query.name);
  unsigned flags = kResponse | kRecursionAvailable | (number_at(bytes, 2) & kRecursionDesired);
  unsigned count = 0;
  std::string answers;
  if (found == zone_.end()) {
    flags |= kNoSuchName;
  } else if (found->second.tcp_only && !tcp) {
    flags |= kTruncated;
  } else {
    answers = records_of(found->second, request->query.type, count);
  }
  std::string out = bytes.substr(0, 2);
  append(out, flags);
  append(out, 1);
  append(out, count);
  append(out, 0);
  append(out, request->query.edns ? 1 : 0);
  out += request->question;
  out += answers;
  // The OPT record: no name, its type, 1232 bytes, no flags, no options.
  if (request->query.edns) out += std::string("\0\0\x29\x04\xd0\0\0\0\0\0\0", 11);
  queries_.push_back(std::move(request->query));
  return out;
}

}  // namespace sock::test_support
