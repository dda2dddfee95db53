#include "tests/e2e/nat_world.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <cstring>

#include "base/file.h"
#include "tests/e2e/process.h"

namespace sock::e2e {
namespace {

constexpr const char* kResolver = "203.0.113.9";
constexpr Millis kPatience{10'000};

const std::string& handler_path() {
  static const std::string path = std::string(SOCK_HANDLERS_DIR) + "/network.py";
  return path;
}

Fd listener(const World& world, std::uint16_t port) {
  Fd socket;
  netns::testing::inside(world.outside(), [&] {
    socket = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ASSERT_EQ(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
    ASSERT_EQ(::listen(socket.get(), 256), 0);
  });
  return socket;
}

bool readable(int fd, Millis patience = kPatience) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, static_cast<int>(patience.count())) == 1;
}

}  // namespace

void Gate::Visitor::answer(const std::string& words_back) {
  const std::string line = words_back + "\n";
  EXPECT_EQ(::send(connection.get(), line.data(), line.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(line.size()));
  connection.reset();
}

Gate::Gate(const World& world) : listener_(listener(world, kPort)) {}

std::optional<Gate::Visitor> Gate::next() {
  if (!readable(listener_.get())) return std::nullopt;
  Visitor visitor{Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)), {}};
  // As handlers say them: all of the line at once.
  std::array<char, 512> text{};
  if (!visitor.connection || !readable(visitor.connection.get())) return std::nullopt;
  const ssize_t size = ::read(visitor.connection.get(), text.data(), text.size());
  if (size <= 0 || text[static_cast<std::size_t>(size) - 1] != '\n') return std::nullopt;
  visitor.words.assign(text.data(), static_cast<std::size_t>(size) - 1);
  return visitor;
}

HttpServer::HttpServer(const World& world)
    : listener_(listener(world, kPort)),
      end_(::eventfd(0, EFD_CLOEXEC)),
      thread_([this] { serve(); }) {}

HttpServer::~HttpServer() {
  EXPECT_EQ(::eventfd_write(end_.get(), 1), 0);
  thread_.join();
}

void HttpServer::serve() {
  constexpr std::string_view kAnswer = "HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nserved";
  for (;;) {
    std::array<pollfd, 2> ready{{{end_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if (ready[0].revents != 0) return;
    if (ready[1].revents == 0) continue;
    const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::array<char, 4096> request{};
    if (!client || !readable(client.get(), Millis{1'000})) continue;
    if (::read(client.get(), request.data(), request.size()) <= 0) continue;
    (void)::send(client.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
  }
}

NatWorld::NatWorld() : world_({World::kWeb, World::kOther, kHigh}), gate_(world_), http_(world_) {
  netns::testing::inside(world_.outside(), [&] {
    auto dns = test_support::DnsServer::start(kResolver);
    ASSERT_TRUE(dns) << dns.error().describe();
    dns_ = std::move(*dns);
  });
}

std::string NatWorld::settings(const std::string& ipv4, const std::string& ipv6) {
  return "[nat]\nipv4 = \"" + ipv4 + "\"\nipv6 = \"" + ipv6 + "\"\nresolvers = [\"" + kResolver +
         "\"]\nallow = [\"internet\", \"10.9.0.0/16\"]\n";
}

std::string NatWorld::state() const { return world_.state_of_host() + netns::testing::ruleset(); }

std::string network_handler() { return read_file(AT_FDCWD, handler_path()).value_or(""); }

boost::json::value evaluate_on_host(const std::string& expression) {
  const Finished ran = run_program("/usr/bin/python3", {handler_path(), expression});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  boost::json::error_code error;
  auto value = boost::json::parse(ran.out, error);
  return error ? boost::json::value() : value;
}

}  // namespace sock::e2e
