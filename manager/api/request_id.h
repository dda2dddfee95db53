#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace sock::manager {

/// Makes the ids of calls: random UUIDs (RFC 9562, version 4), unguessable. Takes randomness from
/// the kernel in batches. Not thread safe.
class RequestIds {
 public:
  RequestIds() = default;

  /// Throws std::system_error if the kernel gives no randomness.
  [[nodiscard]] std::string next();

 private:
  static constexpr std::size_t kIdBytes = 16;
  // getrandom(2) never returns less than asked for up to 256 bytes.
  std::array<unsigned char, 16 * kIdBytes> pool_{};
  std::size_t used_ = sizeof(pool_);
};

/// True for the exact form that RequestIds makes (lower case, 8-4-4-4-12).
[[nodiscard]] bool is_request_id(std::string_view text);

}  // namespace sock::manager
