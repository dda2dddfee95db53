#include "zygote/seal_libraries.h"

#include <sys/mman.h>

#include <algorithm>

namespace sock::zygote {
namespace {

constexpr std::size_t kMostLibraries = 4096;
/// Larger ones are copied when they are in use for the better part: OpenBLAS and its like are not.
constexpr std::uint64_t kSmallLibrary = 2 << 20;

bool can_be_library(const Mapping& mapping) {
  // What an ancestor sealed is in an image already.
  return mapping.inode != 0 && !mapping.shared && (mapping.protection & PROT_WRITE) == 0 &&
         (mapping.protection & PROT_READ) != 0 && !mapping.name.starts_with("/memfd:");
}

}  // namespace

Libraries::Libraries(Scratch& scratch, std::string_view smaps) {
  const auto room = scratch.take<Library>(kMostLibraries);
  MemoryMap map(smaps);
  Mapping mapping;
  while (map.next(mapping)) {
    if (!can_be_library(mapping)) continue;
    Library* library = find(mapping);
    if (library == nullptr) {
      if (libraries_.size() == room.size()) return;
      libraries_ = room.first(libraries_.size() + 1);
      library = &libraries_.back();
      library->device = mapping.device;
      library->inode = mapping.inode;
    }
    library->bytes += mapping.size();
    library->resident += mapping.resident;
    library->has_code = library->has_code || (mapping.protection & PROT_EXEC) != 0;
  }
  valid_ = !map.malformed();
}

Libraries::Library* Libraries::find(const Mapping& mapping) const {
  // Its mappings follow one another, so it most likely is the last.
  const auto found = std::ranges::find_if(
      libraries_.rbegin(), libraries_.rend(),
      [&](const auto& it) { return it.inode == mapping.inode && it.device == mapping.device; });
  return found == libraries_.rend() ? nullptr : &*found;
}

bool Libraries::want(const Mapping& mapping) const {
  if (!can_be_library(mapping)) return false;
  const Library* library = find(mapping);
  return library != nullptr && library->has_code &&
         (library->bytes <= kSmallLibrary || library->resident * 2 >= library->bytes);
}

}  // namespace sock::zygote
