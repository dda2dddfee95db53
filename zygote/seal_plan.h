#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/error.h"

namespace sock::zygote {

/// Memory to work in while the rest of the process is looked at: planning must not change what is
/// planned for. Unmapped with the object. It borders on inaccessible pages, so that the kernel does
/// not make one mapping of it and a neighbour.
class Scratch {
 public:
  /// What it adds to this process's list of mappings.
  static constexpr std::uint32_t kMappings = 3;

  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] bool valid() const { return begin_ != nullptr; }
  [[nodiscard]] std::uintptr_t begin() const { return reinterpret_cast<std::uintptr_t>(begin_); }

  /// `count` zeroed objects; empty when there is no room.
  template <class T>
  [[nodiscard]] std::span<T> take(std::size_t count) {
    static_assert(alignof(T) <= kAlignment);
    std::byte* at = take_bytes(count * sizeof(T));
    return at == nullptr ? std::span<T>() : std::span<T>(reinterpret_cast<T*>(at), count);
  }

  /// A whole file of /proc; empty when it cannot be read or is too large.
  [[nodiscard]] std::string_view read(const char* path);

 private:
  static constexpr std::size_t kAlignment = 16;
  [[nodiscard]] std::byte* take_bytes(std::size_t size);

  std::byte* begin_ = nullptr;
  std::size_t used_ = 0;
};

/// A stretch of memory that is to be mapped anew.
struct Piece {
  enum class Source : std::uint8_t {
    kZeros,     ///< never written: fresh anonymous memory
    kImage,     ///< copied into the new image
    kAncestor,  ///< still as it is in the image of an ancestor
  };

  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uint64_t offset = 0;  ///< in the image
  std::uint64_t checksum = 0;
  int protection = 0;
  int fd = -1;  ///< kAncestor: its image
  Source source = Source::kZeros;
  bool reserve = true;  ///< kZeros: counts against the commit limit, as the mapping did

  [[nodiscard]] std::size_t size() const { return end - begin; }
};

struct SealPlan {
  std::span<Piece> pieces;         ///< by address; offsets of kImage ascend
  std::uint64_t image_bytes = 0;   ///< size of the image
  std::uint64_t copied_bytes = 0;  ///< of the pieces in it; the rest are gaps
  std::uint32_t mappings = 0;      ///< that this process has
};

/// Decides what becomes of every mapping of this process. kInvalid when there is anything whose
/// meaning is not known for certain. Allocates nothing outside `scratch` unless it fails.
[[nodiscard]] Result<SealPlan> plan_sealing(Scratch& scratch, std::span<const int> ancestors);

}  // namespace sock::zygote
