#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace sock::zygote {

/// One line of /proc/PID/maps (proc_pid_maps(5)).
struct Region {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint32_t protection = 0;  ///< PROT_READ, PROT_WRITE, PROT_EXEC
  bool shared = false;
  std::uint64_t offset = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  ///< 0: anonymous
  std::string name;         ///< path or "[heap]"; may be empty

  /// [stack], [vdso], [vvar], [vsyscall]: every process has its own.
  [[nodiscard]] bool special() const;
};

/// Whole pages, one after another.
struct PageRange {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;

  [[nodiscard]] std::uint64_t bytes() const { return end - begin; }
};

/// What the kernel tells of another process's memory, read through /proc/PID. For processes that
/// stand still; their number must be held by a pidfd. Everything else is as hostile as the process.
class ProcessMemory {
 public:
  [[nodiscard]] static Result<ProcessMemory> open(pid_t pid);

  /// At most 65,536 mappings (vm.max_map_count), in order of address.
  [[nodiscard]] const std::vector<Region>& regions() const { return regions_; }

  enum class Pages {
    kOwn,      ///< private to the process: written since it was cloned, or shared with nobody
    kMapped,   ///< in its page table, but the same for others: only read so far
    kPresent,  ///< either
  };
  /// Those pages of [begin, end) as ranges. kInvalid when some are swapped out.
  [[nodiscard]] Result<std::vector<PageRange>> pages(Pages kind, std::uint64_t begin,
                                                     std::uint64_t end) const;

  /// Whether the page at `address` holds the same in both processes; false when one cannot be read.
  [[nodiscard]] bool same_page(const ProcessMemory& other, std::uint64_t address) const;

  /// Copies [address, address + bytes) to `out` at `offset`. Pages that cannot be read, such as
  /// those past a mapped file's end, stay holes.
  [[nodiscard]] Result<> copy(std::uint64_t address, std::uint64_t bytes, int out,
                              std::uint64_t offset) const;

 private:
  ProcessMemory(std::vector<Region> mappings, Fd pagemap, Fd memory);

  std::vector<Region> regions_;
  Fd pagemap_;
  Fd memory_;
};

}  // namespace sock::zygote
