#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "manager/settings/option_reader.h"
#include "sandbox/limits.h"

namespace sock::manager {

/// Everything a deployer may bound, with the call's wall-clock time.
struct FunctionLimits {
  sandbox::Limits sandbox;
  Millis timeout{30'000};

  bool operator==(const FunctionLimits&) const = default;
};

/// What makes sense at all, on any daemon. Below the lower ends an interpreter does not come up,
/// or the kernel reads the number as "no limit" (tmpfs size=0; tmpfs(5)).
inline constexpr Range<std::uint64_t> kMemoryRange{8ULL << 20, 1ULL << 40};
inline constexpr Range<std::uint64_t> kTmpRange{64ULL << 10, 1ULL << 40};
inline constexpr Range<Millis> kTimeoutRange{Millis(10), Millis(24 * 3'600'000)};
inline constexpr Range<std::uint32_t> kCpuRange{10, 1'024'000};
inline constexpr Range<std::uint32_t> kPidsRange{1, 32'768};
inline constexpr Range<std::uint32_t> kOpenFilesRange{32, 1'048'576};

/// Takes memory, timeout, cpu, pids and tmp: the limits a function may set for itself.
void read_limits(OptionReader& reader, FunctionLimits& limits);

/// A limit that is above its cap.
struct Excess {
  std::string_view key;  ///< "memory"
  std::string value;     ///< "2G"
  std::string cap;       ///< "1G"
};

/// The first of `limits` above `caps`, in the order memory, timeout, cpu, pids, tmp, open_files.
[[nodiscard]] std::optional<Excess> first_excess(const FunctionLimits& limits,
                                                 const FunctionLimits& caps);

}  // namespace sock::manager
