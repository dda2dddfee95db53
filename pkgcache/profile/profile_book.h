#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "pkgcache/profile/profile.h"

namespace sock::pkgcache {

/// What a planner needs to know of a package; its dependencies are loaded.
struct MeasuredCost {
  double ms = 0;
  double mb = 0;    ///< private memory, in units of 2^20 bytes
  double vmas = 0;  ///< mappings

  bool operator==(const MeasuredCost&) const = default;
};

/// The profiles of all packages, kept in one folder, a file for each. Safe to use from any thread;
/// only put() and retain() wait for the disk. One book to a folder.
class ProfileBook {
 public:
  struct Opened;

  /// Makes the folder (0700) if need be and reads what it holds. Files that are not whole profiles
  /// under their own names are removed and told of; they are measured again.
  [[nodiscard]] static Result<Opened> open(const std::filesystem::path& folder);

  [[nodiscard]] std::optional<Profile> find(const Package& package) const;

  /// All, sorted by package.
  [[nodiscard]] std::vector<Profile> list() const;

  /// Keeps the profile, durably, in place of an earlier one of the same package.
  [[nodiscard]] Result<> put(Profile profile);

  /// Those without a profile that was measured with `interpreter`, in the order given.
  [[nodiscard]] std::vector<Package> missing(std::span<const Package> packages,
                                             std::string_view interpreter) const;

  /// Which of the packages zygotes must not import, and why: "tornado==6.2 leaves 3 threads
  /// running". Packages without a profile are not among them: missing() has those.
  [[nodiscard]] std::vector<std::string> quarantined(std::span<const Package> packages) const;

  /// Of vetted packages only; whatever they were measured with.
  [[nodiscard]] std::map<Package, MeasuredCost> costs() const;

  /// Forgets all but these.
  [[nodiscard]] Result<> retain(std::span<const Package> packages);

 private:
  explicit ProfileBook(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;
  std::mutex writing_;        ///< held by who changes files; taken before mutex_
  mutable std::mutex mutex_;  ///< guards profiles_; never held across disk access
  std::map<Package, Profile> profiles_;
};

struct ProfileBook::Opened {
  std::unique_ptr<ProfileBook> book;
  std::vector<std::string> problems;  ///< what was removed and why, for the log
};

}  // namespace sock::pkgcache
