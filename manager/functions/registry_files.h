#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "manager/functions/function.h"

namespace sock::manager {

/// The on-disk side of Registry: names, markers and the recovery at start. See registry.h for the
/// layout. Callers hold the state directory's lock and serialise changes.

inline constexpr const char* kRecordFile = "function.json";
inline constexpr const char* kRemovedFile = "removed.json";

/// The exclusive lock of a state directory, held as long as the descriptor is open. kConflict names
/// the holder.
[[nodiscard]] Result<Fd> lock_state_dir(const std::filesystem::path& state_dir);

/// The numbers of the generation folders beneath functions/NAME, ascending; empty when there is no
/// such folder. Complete, removed and damaged ones alike.
[[nodiscard]] Result<std::vector<std::uint64_t>> generations_of(
    const std::filesystem::path& function);

/// Marks a complete generation as removed, durably: it will not be loaded again. One that is not
/// complete is left alone.
[[nodiscard]] Result<> mark_removed(const std::filesystem::path& generation);

struct Recovered {
  std::vector<Function> functions;  ///< the current generation of each
  std::vector<std::string> problems;
};

/// Empties staging/, deletes removed and superseded generations, moves damaged ones to broken/, and
/// loads the rest. Never fails as a whole: whatever cannot be used is reported.
[[nodiscard]] Recovered recover(const std::filesystem::path& state_dir);

}  // namespace sock::manager
