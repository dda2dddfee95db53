#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"

namespace sock::manager {

/// `base`, doubled with every failure before, at most `most` times.
[[nodiscard]] inline Millis back_off(Millis base, unsigned failures, unsigned most) {
  return base * (1U << std::min(failures, most));
}

/// Until a zygote that failed is tried again. Code that cannot be a zygote (kInvalid) will most
/// likely not be one in a minute either.
[[nodiscard]] inline Millis zygote_back_off(const Error& error, unsigned failures) {
  return back_off(error.code == Code::kInvalid ? Millis(60'000) : Millis(500), failures, 6);
}

}  // namespace sock::manager
