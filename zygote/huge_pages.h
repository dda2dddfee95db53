// Huge pages for memory that many processes map.
#pragma once

#include <cstdint>

namespace sock::zygote {

/// Asks the kernel to gather [begin, end) of this process into huge pages, as far as whole ones lie
/// within. A refusal (Linux before 6.1, no free huge page, a hole) costs speed, nothing else.
void collapse_memory(std::uint64_t begin, std::uint64_t end);

/// Makes an empty memfd whole_huge_pages(bytes) long and, as far as the kernel lets it, of huge
/// pages, which is also the cheapest way to allocate it. A process that maps parts of a huge page,
/// at whatever address, has 16 of its pages entered into its page table, and taken out again, at
/// the price of about one (filemap_map_folio_range() and zap_present_folio_ptes() in mm/). Works
/// where shmem_enabled is "never", too (madvise(2), MADV_COLLAPSE). False when the file is not that
/// long.
[[nodiscard]] bool grow_in_huge_pages(int memfd, std::uint64_t bytes);

constexpr std::uint64_t kHugePage = 2 << 20;

constexpr std::uint64_t whole_huge_pages(std::uint64_t bytes) {
  return (bytes + kHugePage - 1) / kHugePage * kHugePage;
}

}  // namespace sock::zygote
