#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sock::netns {

/// The names of everything one sockd owns in its network namespace, so that it can be found again
/// after a crash: all derive from the instance's own name, and no two instances share one.
class InstanceName {
 public:
  /// Links' names are short, so 1 to 7 of a–z and 0–9; kInvalid otherwise.
  [[nodiscard]] static Result<InstanceName> parse(std::string_view text);

  [[nodiscard]] std::string bridge() const { return "sk-" + text_; }
  /// What the names of all ports begin with, and nothing else of any instance.
  [[nodiscard]] std::string port_prefix() const { return "sk-" + text_ + "-"; }
  [[nodiscard]] std::string port(std::uint16_t slot) const;
  /// Of the nftables tables, one a family.
  [[nodiscard]] std::string table() const { return "sock-" + text_; }

 private:
  explicit InstanceName(std::string_view text) : text_(text) {}

  std::string text_;
};

}  // namespace sock::netns
