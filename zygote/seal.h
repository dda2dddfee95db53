#pragma once

#include <cstdint>
#include <span>

#include "base/error.h"
#include "base/fd.h"

namespace sock::zygote {

/// What sealing did.
struct Seal {
  Fd image;                 ///< the sealed memfd that holds this process's memory
  std::uint64_t bytes = 0;  ///< of the image
  std::uint32_t mappings_before = 0;
  std::uint32_t mappings_after = 0;
};

/// Moves the memory that this process has written, and the libraries it uses, into a memfd (the
/// image) and maps it back privately, at the same addresses. Writable memory keeps its exact
/// protection; of a library, code and constants become one readable and executable mapping. A
/// private mapping of a file that nobody has written to needs no page tables in a clone: the kernel
/// fills them when the clone touches a page (vma_needs_copy() in mm/memory.c). A clone then costs
/// what its mappings cost, however large the heap is.
///
/// What is left as it is: the stack, vdso and vvar, files mapped read-only, large libraries that
/// are hardly used (seal_libraries.h), and what the kernel gives clones differently anyhow
/// (MADV_WIPEONFORK, MADV_DONTFORK). Untouched stretches of written mappings are
/// mapped anew, empty.
///
/// The image cannot change any more and has no holes where it is mapped. Holes would be filled by
/// any clone that reads there, at the expense of its memory limit and for as long as the zygote
/// lives.
///
/// What the process sees change: /proc/self/maps names the image instead of the heap and of
/// libraries; MADV_DONTNEED gives a page's contents at sealing back instead of
/// zeros; mremap that grows such a mapping shows what follows in the image instead of zeros, and
/// SIGBUS behind its end (heap.h, keep_heap_together(), keeps malloc from doing that).
///
/// `ancestors` are the images of the zygotes this one was cloned from: pages that still are as they
/// were stay mapped from there, shared with them. Borrowed. A missing one costs memory, nothing
/// else.
///
/// From then on every page that this process writes outside its stack makes its clones dearer
/// again.
///
/// Errors: kInvalid means refused, and nothing has changed; with any other the memory cannot be
/// trusted and the process must end.
[[nodiscard]] Result<Seal> seal_memory(std::span<const int> ancestors);

}  // namespace sock::zygote
