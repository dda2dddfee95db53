#include "netns-pool/builder_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/message.h"
#include "base/spawn.h"

namespace sock::netns {

namespace asio = boost::asio;

namespace {

/// The helper's text, made safe to log.
std::string printable(const char* text, std::size_t limit) {
  std::string out(text, ::strnlen(text, limit));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return out;
}

std::string_view advice(const BuildReply& reply) {
  if (reply.step == BuildStep::kVerifyLinks && reply.error == 0) {
    return " (if a tunnel module put it there: sysctl net.core.fb_tunnels_only_for_init_net=2)";
  }
  if (reply.error == ENOSPC) {
    return " (as many exist, or are being taken apart by the kernel, as sysctl "
           "user.max_net_namespaces allows)";
  }
  return "";
}

Error error_of(const BuildReply& reply) {
  Error error{Code::kInternal, to_string(reply.step), reply.error, "sock-netns"};
  const std::string detail = printable(reply.detail, sizeof reply.detail);
  if (!detail.empty()) error.message += ": " + detail;
  error.message += advice(reply);
  return error;
}

Result<BuildAnswer> parse(const BuildReply& reply, Received received) {
  const auto malformed = [](std::string what) {
    return fail(Code::kInvalid, "parse the answer of sock-netns", std::move(what));
  };
  if (received.size != sizeof reply) {
    return malformed(std::to_string(received.size) + " bytes instead of " +
                     std::to_string(sizeof reply));
  }
  const bool built = reply.kind == ReplyKind::kBuilt;
  const bool census = (reply.companions & kCensusSocket) != 0;
  const bool route = (reply.companions & kRouteSocket) != 0;
  const std::size_t announced = built ? 1U + (census ? 1U : 0U) + (route ? 1U : 0U) : 0U;
  if (received.fds.size() != announced) {
    return malformed(std::to_string(received.fds.size()) + " descriptors instead of " +
                     std::to_string(announced));
  }
  if (reply.companions > (kCensusSocket | kRouteSocket) ||
      static_cast<std::uint32_t>(reply.step) >= kBuildSteps || reply.error < 0 ||
      built != (reply.step == BuildStep::kNone)) {
    return malformed("contradictory fields");
  }
  BuildAnswer answer;
  switch (reply.kind) {
    case ReplyKind::kBuilt:
      answer.descriptor = std::move(received.fds.front());
      if (census) answer.census = std::move(received.fds[1]);
      if (route) answer.route = std::move(received.fds.back());
      answer.inode = reply.inode;
      answer.build_us = reply.build_us;
      return answer;
    case ReplyKind::kBuildFailed:
      answer.kind = BuildAnswer::Kind::kBuildFailed;
      answer.error = error_of(reply);
      return answer;
    case ReplyKind::kStartFailed:
      answer.kind = BuildAnswer::Kind::kStartFailed;
      answer.error = error_of(reply);
      return answer;
  }
  return malformed("unknown kind");
}

}  // namespace

Result<std::unique_ptr<BuilderProcess>> BuilderProcess::start(const asio::any_io_executor& executor,
                                                              const BuilderOptions& options) {
  auto sockets = socket_pair(SOCK_SEQPACKET);
  if (!sockets) return std::unexpected(sockets.error());
  SpawnSpec spec;
  spec.program = options.program;
  spec.fds = {(*sockets)[1].get()};
  spec.prepare = options.place;
  if (options.user_namespace >= 0) {
    spec.args = {kJoinUserFlag};
    spec.fds.push_back(options.user_namespace);
    if (options.most > 0) spec.args.push_back(std::to_string(options.most));
  }
  auto process = spawn(spec);
  if (!process) return std::unexpected(process.error());
  try {
    return std::make_unique<BuilderProcess>(executor, std::move(*process),
                                            std::move((*sockets)[0]));
  } catch (const boost::system::system_error& error) {
    return fail_errno("watch the socket of sock-netns", options.program, error.code().value());
  }
}

BuilderProcess::BuilderProcess(const asio::any_io_executor& executor, Process process, Fd socket)
    : process_(std::move(process)), channel_(executor, std::move(socket)) {}

Result<> BuilderProcess::request(std::size_t count, Furnish furnish) {
  BuildRequest request;
  request.count = static_cast<std::uint32_t>(count);
  request.furnish = furnish;
  return channel_.send(bytes_of(request));
}

asio::awaitable<Result<BuildAnswer>> BuilderProcess::receive(Clock::time_point deadline) {
  BuildReply reply;
  const auto buffer = writable_bytes_of(reply);
  auto received = co_await channel_.receive(buffer, deadline);
  if (!received) {
    Error error = std::move(received.error());
    error.step = "receive from sock-netns";
    // A truncated message, or one with too many descriptors: not an answer either.
    if (error.sys_errno == EMSGSIZE) error.code = Code::kInvalid;
    co_return std::unexpected(std::move(error));
  }
  co_return parse(reply, std::move(*received));
}

void BuilderProcess::kill() {
  process_.signal(SIGKILL);
  channel_.close();
}

asio::awaitable<void> BuilderProcess::reap(Clock::time_point deadline) {
  if (!process_.valid()) co_return;
  const auto executor = co_await asio::this_coro::executor;
  asio::posix::stream_descriptor exited(executor);
  // A duplicate: the descriptor closes what it holds.
  Fd duplicate(::fcntl(process_.pidfd(), F_DUPFD_CLOEXEC, 3));
  boost::system::error_code refused;
  if (duplicate) exited.assign(duplicate.get(), refused);
  if (duplicate && !refused) {
    (void)duplicate.release();
    auto gone = co_await wait_readable(exited, deadline);
    (void)gone;
  }
  if (!process_.try_reap()) process_.kill_and_reap();
}

}  // namespace sock::netns
