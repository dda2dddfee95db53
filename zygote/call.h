#pragma once

namespace sock::zygote {

/// The rest of a confined clone's life: restores uniqueness, says kParked, reads one call on
/// kConnectionFd, runs it, answers once and exits. Ends when sockd closes the connection.
[[noreturn]] void serve_one_call();

}  // namespace sock::zygote
