#include "cli/patience.h"

#include <ostream>
#include <utility>

namespace sock::cli {

Patience::Patience(Console& console, std::string what, Millis after)
    : thread_([this, &console, what = std::move(what), after](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        gone_.wait_for(lock, stop, after, [] { return false; });
        if (!stop.stop_requested()) console.err << "sockctl: " << what << '\n' << std::flush;
      }) {}

}  // namespace sock::cli
