#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <span>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/message.h"

namespace sock {

/// Waits for a descriptor to become readable, at most until `deadline`; kTimeout after it.
/// The descriptor stays the caller's. One waiter at a time.
[[nodiscard]] boost::asio::awaitable<Result<>> wait_readable(
    boost::asio::posix::stream_descriptor& descriptor, Clock::time_point deadline);

/// A SOCK_SEQPACKET socket on an event loop. Not thread safe; one receiver at a time.
class Channel {
 public:
  Channel(const boost::asio::any_io_executor& executor, Fd socket);

  /// Sends at once; a peer whose queue is full is an error (EAGAIN), never a wait.
  [[nodiscard]] Result<> send(std::span<const std::byte> bytes, std::span<const int> fds = {});

  /// One message into `buffer` (which must outlive the wait), or kTimeout; end of file is
  /// kKilled: the peer is gone.
  [[nodiscard]] boost::asio::awaitable<Result<Received>> receive(std::span<std::byte> buffer,
                                                                 Clock::time_point deadline);

  void close();

 private:
  boost::asio::posix::stream_descriptor socket_;
};

}  // namespace sock
