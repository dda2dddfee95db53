#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/package.h"

namespace sock::pkgcache {

enum class Verdict {
  kVetted,       ///< zygotes may import it
  kQuarantined,  ///< they may not; functions that need it import it themselves
};

/// What importing one package costs and does, measured in a sandbox with its dependencies loaded.
/// A value.
struct Profile {
  Package package;
  /// What it was measured with, see Measured::interpreter. With another the figures do not hold.
  std::string interpreter;
  std::chrono::sys_seconds measured_at;

  double ms = 0;                              ///< of importing its modules, the best of some runs
  std::uint64_t private_bytes = 0;            ///< memory that only the importing process has
  std::uint64_t vmas = 0;                     ///< mappings that came with it
  std::uint64_t modules = 0;                  ///< modules loaded, its own and others'
  std::vector<std::string> standard_modules;  ///< those of the standard library; sorted

  Verdict verdict = Verdict::kQuarantined;
  /// Why it is quarantined, each a predicate without a full stop, "leaves 3 threads running"; for
  /// people, free of control characters. Empty when vetted.
  std::vector<std::string> reasons;

  bool operator==(const Profile&) const = default;
};

inline constexpr std::size_t kMostReasons = 32;
inline constexpr std::size_t kMostStandardModules = 1024;
inline constexpr std::size_t kMostInterpreterBytes = 256;

/// "vetted", "quarantined".
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// The profile of a package that could not be measured: quarantined for `reason`.
[[nodiscard]] Profile unmeasured(Package package, std::string interpreter,
                                 std::chrono::sys_seconds now, std::string reason);

/// {"package":{"name","version","digest"},"interpreter","measured_at" (seconds since 1970),"ms",
/// "private_bytes","vmas","modules","standard_modules":[…],"verdict","reasons":[…]}
[[nodiscard]] boost::json::object to_json(const Profile& profile);

/// The way back. Strict: kInvalid unless every key is there with its type and range.
[[nodiscard]] Result<Profile> profile_from_json(std::string_view text);

}  // namespace sock::pkgcache
