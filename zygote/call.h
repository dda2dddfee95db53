#pragma once

namespace sock::zygote {

/// What a clone does before it parks.
struct Parking {
  bool image = false;    ///< become the process recorded in kImageFd, instead of a fresh clone
  bool touches = false;  ///< populate what kTouchesFd lists
};

/// The rest of a confined clone's life: gets as ready as `parking` says, says kParked, reads one
/// call on kConnectionFd, runs it, answers once and waits for its end. Ends when sockd closes the
/// connection.
[[noreturn]] void serve_one_call(Parking parking);

}  // namespace sock::zygote
