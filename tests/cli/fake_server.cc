#include "tests/cli/fake_server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace sock::cli {

namespace asio = boost::asio;
namespace http = boost::beast::http;

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "sockctl-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryFolder::write(const std::string& name, const std::string& text) const {
  const auto path = path_ / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
  return path.string();
}

FakeServer::FakeServer(Handler handler, bool read_bodies)
    : handler_(std::move(handler)), read_bodies_(read_bodies) {
  std::string name = "/tmp/sockctl-fake-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
  folder_ = name;
  socket_ = name + "/s";
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_.c_str(), socket_.size());
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
      ::listen(listener_, 8) < 0) {
    throw std::runtime_error("listen on " + socket_);
  }
  thread_ = std::thread([this] { serve(); });
}

FakeServer::~FakeServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    if (open_ >= 0) ::shutdown(open_, SHUT_RDWR);
  }
  thread_.join();
  ::close(listener_);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::vector<FakeRequest> FakeServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FakeServer::serve() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        ::close(fd);
        return;
      }
      open_ = fd;
    }
    ++connections_;
    serve_connection(fd);
  }
}

void FakeServer::serve_connection(int fd) {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io, asio::local::stream_protocol{}, fd);
  boost::beast::flat_buffer buffer;
  boost::system::error_code error;
  for (;;) {
    http::request_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{128} << 20U);
    if (read_bodies_) {
      http::read(socket, buffer, parser, error);
    } else {
      http::read_header(socket, buffer, parser, error);
    }
    if (error) break;
    const auto& message = parser.get();
    FakeRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.body = message.body();
    for (const auto& field : message) {
      std::string name(field.name_string());
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      request.headers[name] = std::string(field.value());
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const FakeResponse answer = handler_(request);
    if (answer.hang) {
      char byte = 0;
      if (::recv(fd, &byte, 1, 0) <= 0) ++abandoned_;
      break;
    }
    if (!answer.raw.empty()) {
      asio::write(socket, asio::buffer(answer.raw), error);
      break;
    }
    http::response<http::string_body> response{http::int_to_status(answer.status), 11};
    for (const auto& [name, value] : answer.headers) response.set(name, value);
    response.body() = answer.body;
    response.keep_alive(read_bodies_);
    response.prepare_payload();
    http::write(socket, response, error);
    if (error || !response.keep_alive()) break;
  }
  const std::lock_guard lock(mutex_);
  open_ = -1;
  socket.close(error);
}

}  // namespace sock::cli
