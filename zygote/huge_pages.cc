#include "zygote/huge_pages.h"

#include <sys/mman.h>

namespace sock::zygote {
namespace {

constexpr int kMadvCollapse = 25;  // MADV_COLLAPSE, newer than this glibc

}  // namespace

void collapse_memory(std::uint64_t begin, std::uint64_t end) {
  begin = whole_huge_pages(begin);
  end = end / kHugePage * kHugePage;
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, kMadvCollapse);
}

void collapse_file(int memfd, std::uint64_t bytes) {
  // Address and offset must agree within a huge page.
  const std::uint64_t room = bytes + kHugePage;
  void* reserved =
      ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return;
  const std::uint64_t begin = whole_huge_pages(reinterpret_cast<std::uint64_t>(reserved));
  const void* view =
      ::mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, 0);
  if (view != MAP_FAILED) collapse_memory(begin, begin + bytes);
  (void)::munmap(reserved, room);
}

}  // namespace sock::zygote
