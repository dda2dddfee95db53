#include "zygote/heap.h"

#include <fcntl.h>
#include <malloc.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>

#include "base/file.h"
#include "zygote/huge_pages.h"

namespace sock::zygote {
namespace {

constexpr std::size_t kLargestMaps = 8 << 20;

/// Private writable memory that belongs to no file: brk heap and anonymous mappings.
bool is_heap(const std::string& line) {
  if (line.find(" rw-p ") == std::string::npos) return false;
  const bool named = line.find('/') != std::string::npos || line.find('[') != std::string::npos;
  return !named || line.ends_with("[heap]");
}

}  // namespace

void collapse_heap() {
  const auto maps = read_file(AT_FDCWD, "/proc/self/maps", kLargestMaps);
  if (!maps) return;
  std::istringstream lines(*maps);
  for (std::string line; std::getline(lines, line);) {
    std::uint64_t begin = 0, end = 0;
    if (!is_heap(line) || std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64, &begin, &end) != 2) {
      continue;
    }
    collapse_memory(begin, end);
  }
}

void keep_heap_together() { (void)::mallopt(M_MMAP_MAX, 0); }

void settle_heap() {
  (void)::mallopt(M_MMAP_MAX, 65'536);
  (void)::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  (void)::mallopt(M_TRIM_THRESHOLD, 64 << 20);
  (void)::malloc_trim(0);
}

}  // namespace sock::zygote
