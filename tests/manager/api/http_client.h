#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/fd.h"

namespace sock::manager::testing {

/// Sanitizers make everything slower than any promise.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// An event loop on a thread of its own, as sockd has one.
class LoopThread {
 public:
  LoopThread() : guard_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~LoopThread() { stop(); }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  [[nodiscard]] boost::asio::io_context& io() { return io_; }

  /// Runs `work` on the loop and waits for its value.
  template <class Work>
  auto run(Work work) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto value = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return value.get();
  }

  /// CPU time the loop has used, in microseconds.
  [[nodiscard]] double cpu_micros() {
    return run([] {
      timespec now{};
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
      return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
    });
  }

  void stop() {
    if (!thread_.joinable()) return;
    guard_.reset();
    io_.stop();
    thread_.join();
  }

 private:
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread thread_;
};

/// A private folder, removed afterwards.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sock-http-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct Answer {
  int status = 0;                              ///< 0 = the connection ended before a whole answer
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;

  [[nodiscard]] std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

/// A blocking client that sends exactly the bytes it is told to. Gives up after ten seconds.
class Client {
 public:
  explicit Client(const std::string& path) { connect(path); }

  [[nodiscard]] bool connected() const { return fd_.valid(); }
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// False when the peer no longer takes them.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// One answer; bytes behind it stay for the next. `with_body` false: the answer to HEAD.
  Answer receive(bool with_body = true) {
    Answer answer;
    std::size_t end = std::string::npos;
    while ((end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return answer;
    }
    parse_head(std::string_view(input_).substr(0, end), answer);
    input_.erase(0, end + 4);
    const std::string length = answer.header("content-length");
    const std::size_t size = with_body && !length.empty() ? std::stoul(length) : 0;
    while (input_.size() < size) {
      if (!read_more()) {
        answer.status = 0;
        return answer;
      }
    }
    answer.body = input_.substr(0, size);
    input_.erase(0, size);
    return answer;
  }

  Answer exchange(std::string_view bytes) {
    (void)send(bytes);
    return receive();
  }

  /// A complete request with a body of known length.
  Answer request(std::string_view method, std::string_view target, std::string_view body = {},
                 std::string_view headers = {}) {
    std::string text(method);
    text.append(" ").append(target).append(" HTTP/1.1\r\nHost: sock\r\n").append(headers);
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
    text.append(body);
    return exchange(text);
  }

  /// True when the server has closed and nothing unread is left.
  bool at_end() { return input_.empty() && !read_more(); }

  /// True when something arrives (or the end) within the time.
  [[nodiscard]] bool readable(std::chrono::milliseconds timeout) const {
    pollfd entry{fd_.get(), POLLIN, 0};
    return poll(&entry, 1, static_cast<int>(timeout.count())) > 0;
  }

  void close() { fd_.reset(); }
  void half_close() const { shutdown(fd_.get(), SHUT_WR); }

 private:
  void connect(const std::string& path) {
    fd_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    timeval timeout{10, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      fd_.reset();
    }
  }

  bool read_more() {
    char bytes[16 << 10];
    const ssize_t count = recv(fd_.get(), bytes, sizeof(bytes), 0);
    if (count <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  static void parse_head(std::string_view head, Answer& answer) {
    answer.status = std::stoi(std::string(head.substr(9, 3)));
    std::size_t at = head.find("\r\n");
    while (at != std::string_view::npos) {
      at += 2;
      const std::size_t end = head.find("\r\n", at);
      const std::string_view line = head.substr(at, end - at);
      const std::size_t colon = line.find(": ");
      std::string name(line.substr(0, colon));
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      answer.headers[name] = line.substr(colon + 2);
      at = end;
    }
  }

  Fd fd_;
  std::string input_;
};

/// Polls until true or ten seconds have passed.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace sock::manager::testing
