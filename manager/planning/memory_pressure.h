#pragma once

#include <cstdint>

namespace sock::manager {

/// How much memory zygotes may take while others on the host need it, too. Pure.
///
/// `wanted`: as configured. `used`: by zygotes now. `available` and `total`: the host's
/// MemAvailable and MemTotal (proc_meminfo(5)), bytes. A twentieth of the host's memory is left to
/// others: where less is available, zygotes give back what is missing; never are they given more
/// than `wanted`.
[[nodiscard]] std::uint64_t zygote_budget(std::uint64_t wanted, std::uint64_t used,
                                          std::uint64_t available, std::uint64_t total);

struct HostMemory {
  std::uint64_t available = 0;
  std::uint64_t total = 0;
};

/// Reads /proc/meminfo; both 0 when it cannot be read.
[[nodiscard]] HostMemory read_host_memory();

}  // namespace sock::manager
