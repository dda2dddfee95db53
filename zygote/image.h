#pragma once

#include <cstdint>

namespace sock::zygote {

/// What a recorded process leaves for its copies, in memfds that only sockd writes. All addresses
/// and sizes are whole pages.
///
/// *Image*: the memory by which a clone that has loaded a handler differs from the sealed zygote it
/// was cloned from. File: ImageHeader, ImageMap × changes, ImageMap × additions, then the contents.
/// Copies map it privately: they share what they do not write.
///
/// *Touches*: pages worth having before a call needs them. File: TouchHeader, then
/// TouchRange × writes, TouchRange × reads.

inline constexpr std::uint64_t kPage = 4096;

struct ImageHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t changes = 0;    ///< within the zygote's own mappings
  std::uint32_t additions = 0;  ///< where the zygote has none
  std::uint32_t reserved = 0;

  static constexpr std::uint32_t kMagic = 0x696d6167;
};

struct ImageMap {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< of its contents in the image
  std::uint32_t protection = 0;
  std::uint32_t empty = 0;  ///< 1: fresh anonymous memory, nothing is stored for it
};

struct TouchHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t writes = 0;
  std::uint32_t reads = 0;
  std::uint32_t reserved = 0;

  static constexpr std::uint32_t kMagic = 0x746f7563;
};

struct TouchRange {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
};

}  // namespace sock::zygote
