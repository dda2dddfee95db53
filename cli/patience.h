#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "cli/context.h"

namespace sock::cli {

/// Tells the person who waits what takes so long, on stderr, once and only if it does: when
/// `after` has passed before the object is gone.
class Patience {
 public:
  Patience(Console& console, std::string what, Millis after = Millis(2'000));
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;
  ~Patience() = default;

 private:
  std::mutex mutex_;
  std::condition_variable_any gone_;
  std::jthread thread_;  ///< last: it uses the others
};

}  // namespace sock::cli
