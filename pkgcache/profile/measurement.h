#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/profile/profile.h"

namespace sock::pkgcache {

/// A package to be measured.
struct MeasureItem {
  Package package;
  /// Folders that follow the standard library on sys.path, as the sandbox sees them: its own and
  /// those of all it needs.
  std::vector<std::string> path;
  /// What its dependencies are imported by, in any order; loaded before it is measured.
  std::vector<std::string> first;
  std::vector<std::string> modules;  ///< what is imported of it; none: it costs nothing
};

/// The event for manager/jobs/measure.py. Each item is measured in processes of its own, twice, so
/// the job takes at most 4 × `seconds` an item: that long for its dependencies and for itself. The
/// answer has at most 256 KiB an item.
[[nodiscard]] boost::json::object measure_event(std::span<const MeasureItem> items,
                                                std::chrono::seconds seconds);

struct Measured {
  /// Version, build and bytecode of the interpreter, and a checksum over the names of the modules
  /// its root zygote holds: where they differ, packages cost something else. An event without
  /// packages asks for this alone.
  std::string interpreter;
  std::vector<Profile> profiles;  ///< one for each item, in their order
};

/// Reads the answer of measure.py, which is no safer than the packages it imported. Values out of
/// range are clamped, texts cleaned and cut; a package that is missing or badly described is
/// quarantined. kInvalid when the answer as a whole cannot be read; then measure the items one by
/// one, and of one alone make it unmeasured().
[[nodiscard]] Result<Measured> read_measured(std::string_view answer,
                                             std::span<const MeasureItem> items,
                                             std::chrono::sys_seconds now);

}  // namespace sock::pkgcache
