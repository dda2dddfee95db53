#pragma once

#include <boost/asio/awaitable.hpp>

#include "base/clock.h"
#include "base/error.h"

namespace sock {

/// Waits until the process behind `pidfd` has ended (it may still have to be reaped), at most until
/// `deadline`; kTimeout after it. Waits on a duplicate, so the pidfd may be closed meanwhile.
[[nodiscard]] boost::asio::awaitable<Result<>> await_exit(int pidfd, Clock::time_point deadline);

}  // namespace sock
