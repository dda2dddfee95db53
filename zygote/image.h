#pragma once

#include <cstdint>

namespace sock::zygote {

/// What a recorded process leaves for its copies, in memfds that only sockd writes. All addresses
/// and sizes are whole pages.
///
/// *Image*: the memory by which a clone that has loaded a handler differs from the sealed zygote it
/// was cloned from. File: ImageHeader, ImageMap × maps, ImageRun × runs, then, from
/// `contents_offset`, the runs' pages in order and the maps' contents.
///
/// *Touches*: pages worth having before a call needs them. File: TouchHeader, then
/// TouchRange × writes, TouchRange × reads.

inline constexpr std::uint64_t kPage = 4096;

struct ImageHeader {
  std::uint32_t magic = kMagic;
  std::uint32_t maps = 0;
  std::uint32_t runs = 0;
  std::uint32_t reserved = 0;
  std::uint64_t contents_offset = 0;

  static constexpr std::uint32_t kMagic = 0x696d6167;
};

/// A mapping the zygote does not have.
struct ImageMap {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< of its contents in the image
  std::uint32_t protection = 0;
  std::uint32_t empty = 0;  ///< 1: inaccessible, nothing is stored for it
};

/// Changed pages within the zygote's own mappings.
struct ImageRun {
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
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
