#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "zygote/memory_map.h"
#include "zygote/seal_plan.h"

namespace sock::zygote {

/// Which libraries' code and constants are worth a place in the image. There they lie in huge pages
/// and are one mapping each instead of three, which every clone copies, populates and gives back:
/// constants become executable for it. Each costs its size in memory once for a tree of zygotes.
class Libraries {
 public:
  /// `smaps` of this process. Allocates in `scratch` alone.
  Libraries(Scratch& scratch, std::string_view smaps);

  /// False when there was no room, or the text is not understood.
  [[nodiscard]] bool valid() const { return valid_; }

  /// Whether `mapping` is a part of such a library that nobody may write to.
  [[nodiscard]] bool want(const Mapping& mapping) const;

 private:
  struct Library {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t bytes = 0;     ///< of what is not writable
    std::uint64_t resident = 0;  ///< bytes of them that are mapped at present
    bool has_code = false;
  };

  [[nodiscard]] Library* find(const Mapping& mapping) const;

  std::span<Library> libraries_;
  bool valid_ = false;
};

}  // namespace sock::zygote
