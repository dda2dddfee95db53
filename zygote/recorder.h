#pragma once

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "zygote/process_memory.h"

namespace sock::zygote {

/// Pages of a process.
struct Touched {
  std::vector<PageRange> writes;          ///< its own by now
  std::vector<PageRange> reads;           ///< mapped, unchanged
  std::vector<std::uint64_t> mappings{};  ///< where each mapping begins, ascending

  [[nodiscard]] std::uint64_t written_bytes() const;
};

/// An image (image.h) of what `clone` has and `zygote`, the sealed zygote it was cloned from, has
/// not.
///
/// Stacks are left out: the copy goes on in the frames it restores the image from. A mapping counts
/// as the zygote's only when it is the very same file at the same place, which only a sealed
/// zygote's memory is; a freed and mapped again range is therefore never taken for the old one.
/// kInvalid, naming what it is, for memory that cannot be copied (shared, swapped out) and for more
/// than `limit` bytes.
[[nodiscard]] Result<Fd> record_image(const ProcessMemory& zygote, const ProcessMemory& clone,
                                      std::uint64_t limit);

/// All pages in a process's page table, its stack's too.
[[nodiscard]] Result<Touched> touched_pages(const ProcessMemory& process);
[[nodiscard]] Result<Touched> touched_pages(pid_t process);

/// What to populate in a process like `parked`, so that a call which leaves it like `answered`
/// finds all its pages in place: the pages written in between, and every page that may be read.
/// Those that `parked` had read before are among them, because the kernel maps what lies around a
/// page it has to map, and where the page is there already, as after populating, it maps nothing.
[[nodiscard]] Touched touches_of_call(const Touched& parked, const Touched& answered);

/// What either has.
[[nodiscard]] Touched merged(const Touched& a, const Touched& b);

/// A list of touches (image.h) for clones to populate.
[[nodiscard]] Result<Fd> write_touches(const Touched& touched);

}  // namespace sock::zygote
