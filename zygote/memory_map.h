#pragma once

#include <cstdint>
#include <string_view>

namespace sock::zygote {

/// One mapping of a process, as smaps tells it (proc_pid_smaps(5)).
struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  int protection = 0;  ///< PROT_* bits
  bool shared = false;
  std::uint64_t offset = 0;     ///< in the file
  std::uint64_t device = 0;     ///< as makedev(3) composes it
  std::uint64_t inode = 0;      ///< 0 when there is no file
  std::string_view name;        ///< path, "[heap]" and the like, or empty; points into the text
  std::uint64_t resident = 0;   ///< bytes in its page table
  std::uint64_t anonymous = 0;  ///< bytes in memory that are this process's own, not a file's
  std::uint64_t swapped = 0;    ///< bytes of them that are swapped out
  std::string_view flags;       ///< VmFlags, two letters each, e.g. "rd wr mr mw me ac"

  [[nodiscard]] std::uint64_t size() const { return end - begin; }
};

/// Walks through the text of /proc/PID/smaps. Allocates nothing, so that looking at the memory does
/// not change it.
class MemoryMap {
 public:
  /// `smaps` must outlive this object and the mappings it gives.
  explicit MemoryMap(std::string_view smaps) : rest_(smaps) {}

  /// The next mapping; false at the end or at a line that is not understood.
  [[nodiscard]] bool next(Mapping& mapping);

  /// Whether the walk ended at something other than the end of the text.
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  [[nodiscard]] std::string_view take_line();

  std::string_view rest_;
  bool malformed_ = false;
};

/// Calls `each(flag)` for every two-letter flag; stops and returns false when that is false.
template <class Each>
[[nodiscard]] bool all_flags(std::string_view flags, Each each) {
  while (!flags.empty()) {
    const auto flag = flags.substr(0, flags.find(' '));
    flags.remove_prefix(flag.size() < flags.size() ? flag.size() + 1 : flags.size());
    if (!flag.empty() && !each(flag)) return false;
  }
  return true;
}

[[nodiscard]] inline bool has_flag(const Mapping& mapping, std::string_view wanted) {
  return !all_flags(mapping.flags, [wanted](std::string_view flag) { return flag != wanted; });
}

}  // namespace sock::zygote
