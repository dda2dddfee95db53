#include "zygote/huge_pages.h"

#include <sys/mman.h>
#include <unistd.h>

namespace sock::zygote {
namespace {

constexpr int kMadvCollapse = 25;  // MADV_COLLAPSE, newer than this glibc

}  // namespace

void collapse_memory(std::uint64_t begin, std::uint64_t end) {
  begin = whole_huge_pages(begin);
  end = end / kHugePage * kHugePage;
  if (begin < end) (void)::madvise(reinterpret_cast<void*>(begin), end - begin, kMadvCollapse);
}

bool grow_in_huge_pages(int memfd, std::uint64_t bytes) {
  bytes = whole_huge_pages(bytes);
  if (::ftruncate(memfd, static_cast<off_t>(bytes)) < 0) return false;
  // The kernel makes no huge page where there is no page at all (collapse_file() in
  // mm/khugepaged.c).
  for (std::uint64_t at = 0; at < bytes; at += kHugePage) {
    if (::pwrite(memfd, "", 1, static_cast<off_t>(at)) != 1) return false;
  }
  // Address and offset must agree within a huge page.
  const std::uint64_t room = bytes + kHugePage;
  void* reserved =
      ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return true;
  const std::uint64_t begin = whole_huge_pages(reinterpret_cast<std::uint64_t>(reserved));
  const void* view =
      ::mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, 0);
  if (view != MAP_FAILED) collapse_memory(begin, begin + bytes);
  (void)::munmap(reserved, room);
  return true;
}

}  // namespace sock::zygote
