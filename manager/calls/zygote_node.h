#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "manager/calls/zygote_group.h"
#include "manager/calls/zygote_stocks.h"
#include "pkgcache/plan.h"

namespace sock::manager {

/// One node of the live tree.
struct ZygoteNode {
  enum class State {
    kStarting,
    kReady,
    kFailed,  ///< its packages cannot be a zygote, or it died; tried again after `retry_at`
  };

  pkgcache::ZygoteSpec spec;
  State state = State::kStarting;
  std::shared_ptr<ZygoteGroup> zygotes;  ///< set when ready
  std::shared_ptr<ZygoteStocks> stocks;  ///< set when ready
  /// Zygotes of one generation descend from one exec'd interpreter: they share its hash seed and
  /// the addresses of what they inherited from it. Another one is another layout.
  std::uint64_t generation = 0;
  std::string seal_error;  ///< why its zygote is not sealed; empty when it is
  std::string error;       ///< of the latest failure
  unsigned failures = 0;   ///< in a row
  Clock::time_point retry_at{};
  Clock::time_point ready_at{};
  std::uint64_t clones = 0;  ///< ever given to calls

  [[nodiscard]] bool ready() const { return state == State::kReady; }

  /// To clone or fork from; null unless ready.
  [[nodiscard]] std::shared_ptr<zygote::Zygote> zygote() const {
    return zygotes ? zygotes->zygote() : nullptr;
  }

  [[nodiscard]] std::string name() const { return spec.id.empty() ? "root" : spec.id; }
  [[nodiscard]] std::string packages() const;  ///< "numpy,pandas"; "" is the bare interpreter
};

}  // namespace sock::manager
