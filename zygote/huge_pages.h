// Huge pages for memory that many processes map.
#pragma once

#include <cstdint>

namespace sock::zygote {

/// Asks the kernel to gather [begin, end) of this process into huge pages, as far as whole ones lie
/// within. A refusal (Linux before 6.1, no free huge page, a hole) costs speed, nothing else.
void collapse_memory(std::uint64_t begin, std::uint64_t end);

/// The same for a memfd's first `bytes`; the file should end at a multiple of kHugePage, or the
/// rest stays in small pages. A process that maps parts of a huge page, at whatever address, has 16
/// of its pages entered into its page table, and taken out again, at the price of about one
/// (filemap_map_folio_range() and zap_present_folio_ptes() in mm/). Works before and after
/// F_SEAL_WRITE, and where shmem_enabled is "never" (madvise(2), MADV_COLLAPSE).
void collapse_file(int memfd, std::uint64_t bytes);

constexpr std::uint64_t kHugePage = 2 << 20;

constexpr std::uint64_t whole_huge_pages(std::uint64_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace sock::zygote
