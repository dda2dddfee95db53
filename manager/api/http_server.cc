#include "manager/api/http_server.h"

#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <vector>

#include "manager/api/http_session.h"
#include "manager/api/unix_listener.h"

namespace sock::manager {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// Connections taken in one go before others get their turn on the loop.
constexpr int kAcceptBatch = 64;
/// How long to leave callers in the queue when descriptors or memory have run out.
constexpr Millis kAcceptPause{50};

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<Impl> {
  Impl(const asio::any_io_executor& loop, UnixListener bound, HttpServerOptions options,
       HttpHandler& handler)
      : executor(loop),
        file(std::move(bound)),
        listener(loop, file.release_fd().release()),
        pause(loop),
        sessions(std::make_shared<HttpSessions>(loop, std::move(options), handler)) {}

  asio::awaitable<void> accept_loop();
  [[nodiscard]] bool accept_one();
  void refuse(int fd, std::string_view message) const;
  void stop();
  void abort_sessions() const;

  asio::any_io_executor executor;
  UnixListener file;
  asio::posix::stream_descriptor listener;
  asio::steady_timer pause;
  std::shared_ptr<HttpSessions> sessions;
  HttpServerCounts counts;
  bool stopped = false;
};

asio::awaitable<void> HttpServer::Impl::accept_loop() {
  while (!stopped) {
    auto [error] = co_await listener.async_wait(asio::posix::stream_descriptor::wait_read, kAwait);
    if (error || stopped) co_return;
    bool more = true;
    for (int i = 0; more && i < kAcceptBatch; ++i) more = accept_one();
    if (more || (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS)) {
      continue;
    }
    pause.expires_after(kAcceptPause);
    auto [ignored] = co_await pause.async_wait(kAwait);
    (void)ignored;
  }
}

/// Takes one waiting connection; false, with errno set, when there is none or it failed.
bool HttpServer::Impl::accept_one() {
  Fd fd(accept4(listener.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return errno == ECONNABORTED || errno == EINTR;
  const HttpServerOptions& options = sessions->options;
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return true;
  if (sessions->open.size() >= options.max_connections) {
    ++counts.refused;
    refuse(fd.get(), "busy: too many connections; retry");
    return true;
  }
  const auto own = sessions->per_uid.find(peer.uid);
  if (own != sessions->per_uid.end() && own->second >= options.max_connections_per_uid) {
    ++counts.refused;
    refuse(fd.get(), "busy: too many connections of this user; retry");
    return true;
  }
  try {
    HttpSession::Socket socket(executor);
    error_code error;
    socket.assign(asio::local::stream_protocol(), fd.get(), error);
    if (error) return true;
    (void)fd.release();
    std::make_shared<HttpSession>(std::move(socket), peer.uid, sessions)->start();
    ++counts.accepted;
  } catch (const std::exception&) {
    errno = ENOMEM;
    return false;
  }
  return true;
}

/// One attempt to say why, without waiting: the socket's buffer is empty, so it fits.
void HttpServer::Impl::refuse(int fd, std::string_view message) const {
  const HttpResponse response = sessions->handler->refuse(429, message);
  std::string text = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: ";
  text.append(response.content_type).append("\r\n").append(response.headers);
  text.append("Connection: close\r\nContent-Length: ");
  text.append(std::to_string(response.body.size())).append("\r\n\r\n").append(response.body);
  (void)send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void HttpServer::Impl::stop() {
  if (stopped) return;
  stopped = true;
  file.unlink();
  error_code ignored;
  listener.close(ignored);
  pause.cancel();
}

void HttpServer::Impl::abort_sessions() const {
  std::vector<std::shared_ptr<HttpSession>> open;
  open.reserve(sessions->open.size());
  for (HttpSession* session : sessions->open) open.push_back(session->shared_from_this());
  for (const auto& session : open) session->abort();
}

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const asio::any_io_executor& executor,
                                                       HttpServerOptions options,
                                                       HttpHandler& handler) {
  auto file = UnixListener::open({options.socket, options.mode, options.group});
  if (!file) return std::unexpected(file.error());
  auto impl = std::make_shared<Impl>(executor, std::move(*file), std::move(options), handler);
  asio::co_spawn(
      executor, [impl]() { return impl->accept_loop(); }, asio::detached);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::~HttpServer() {
  impl_->stop();
  impl_->abort_sessions();
}

void HttpServer::stop_accepting() { impl_->stop(); }

asio::awaitable<bool> HttpServer::shutdown(Clock::time_point deadline) {
  const auto impl = impl_;
  impl->stop();
  HttpSessions& sessions = *impl->sessions;
  sessions.draining = true;
  // Cancelling only queues completions: the set does not change under these loops.
  for (HttpSession* session : sessions.open) session->close_if_idle();
  if (!sessions.open.empty()) {
    sessions.emptied.expires_at(deadline);
    auto [ignored] = co_await sessions.emptied.async_wait(kAwait);
    (void)ignored;
  }
  const bool clean = sessions.open.empty();
  impl->abort_sessions();
  co_return clean;
}

HttpServerCounts HttpServer::counts() const {
  HttpServerCounts counts = impl_->counts;
  counts.open = impl_->sessions->open.size();
  return counts;
}

}  // namespace sock::manager
