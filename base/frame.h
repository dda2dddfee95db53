#pragma once

#include <cstdint>

namespace sock {

/// Frames on the stream socket between sockd and a sandbox: this header, then `length` bytes.
/// Both ends run on one machine, so integers are in host order.
struct FrameHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t type = 0;
  std::uint64_t length = 0;

  static constexpr std::uint32_t kMagic = 0x6b636f73;  // "sock"
};
static_assert(sizeof(FrameHeader) == 16);

/// Blocking whole reads and writes for the sandbox side: no allocation, EINTR retried.
/// False on error or end of file, with errno set (0 at end of file).
[[nodiscard]] bool read_exactly(int fd, void* data, std::size_t size);
[[nodiscard]] bool write_exactly(int fd, const void* data, std::size_t size);

}  // namespace sock
