#include "base/await_exit.h"

#include <fcntl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/channel.h"
#include "base/fd.h"

namespace sock {

namespace asio = boost::asio;

asio::awaitable<Result<>> await_exit(int pidfd, Clock::time_point deadline) {
  const auto executor = co_await asio::this_coro::executor;
  Fd own(::fcntl(pidfd, F_DUPFD_CLOEXEC, 3));
  if (!own) co_return fail_errno("dup", "pidfd");
  asio::posix::stream_descriptor descriptor(executor, own.release());
  co_return co_await wait_readable(descriptor, deadline);
}

}  // namespace sock
