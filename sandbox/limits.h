#pragma once

#include <cstdint>

namespace sock::sandbox {

/// What one sandbox may use. Every field is enforced by the kernel.
struct Limits {
  std::uint64_t memory_bytes = 256ULL << 20;  ///< cgroup memory limit, swap included
  std::uint32_t pids = 64;                    ///< processes and threads of the handler
  std::uint32_t cpu_millis = 1000;            ///< CPU bandwidth; 1000 = one core
  std::uint64_t tmp_bytes = 64ULL << 20;      ///< size of /tmp; /dev/shm has the same
  std::uint32_t tmp_inodes = 4096;            ///< files in /tmp; /dev/shm has as many
  std::uint32_t open_files = 1024;            ///< RLIMIT_NOFILE

  bool operator==(const Limits&) const = default;
};

}  // namespace sock::sandbox
