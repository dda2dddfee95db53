#include "manager/calls/errand.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>

namespace sock::manager {

namespace asio = boost::asio;

asio::awaitable<Result<CallReply>> run_errand(Clone& clone, zygote::FrameType type,
                                              const Function* function, CallParts parts,
                                              std::uint64_t limit, Millis timeout) {
  const auto deadline = Clock::now() + timeout;
  asio::steady_timer alarm(co_await asio::this_coro::executor, deadline);
  // The alarm's handler may run after we are done: it looks at this, not at the clone.
  const auto waiting = std::make_shared<Clone*>(&clone);
  alarm.async_wait([waiting](boost::system::error_code error) {
    if (!error && *waiting != nullptr) (*waiting)->kill();
  });
  auto sent = co_await send_call(clone.connection, type, function, parts, deadline);
  Result<CallReply> reply = CallReply{};
  if (sent) {
    reply = co_await read_reply(clone.connection, limit);
  } else {
    reply = std::unexpected(sent.error());
  }
  *waiting = nullptr;
  if (!reply && Clock::now() >= deadline) {
    co_return fail(Code::kTimeout, "sandbox",
                   "no answer within " + std::to_string(timeout.count()) + " ms");
  }
  co_return reply;
}

}  // namespace sock::manager
