#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "netns-pool/netns.h"

namespace sock::netns {

/// Namespaces that only the owner who has used them may have again. Not thread safe.
class KeptNamespaces {
 public:
  explicit KeptNamespaces(std::size_t most) : most_(most) {}

  /// False, and the namespace untouched, when `most` are kept already.
  [[nodiscard]] bool put(std::string_view owner, Netns& netns, Clock::time_point now);

  /// The one that the owner has used last.
  [[nodiscard]] std::optional<Netns> take(std::string_view owner);

  [[nodiscard]] bool contains(std::string_view owner) const { return kept_.contains(owner); }

  /// Those that nobody has wanted since `time`.
  [[nodiscard]] std::vector<Netns> take_older_than(Clock::time_point time);

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Kept {
    Netns netns;
    Clock::time_point since;
  };

  std::size_t most_;
  std::size_t size_ = 0;
  std::map<std::string, std::vector<Kept>, std::less<>> kept_;  // none empty
};

}  // namespace sock::netns
