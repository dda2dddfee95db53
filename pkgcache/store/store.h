#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "pkgcache/metadata.h"
#include "pkgcache/package.h"
#include "pkgcache/store/tree_copy.h"

namespace sock::pkgcache {

/// Where zygotes and sandboxes see the store's packages/, read-only.
inline constexpr std::string_view kPackagesMount = "/var/packages";

/// NAME-VERSION-DIGEST16: a package's folder beneath packages/ and kPackagesMount. Only for
/// packages with a digest.
[[nodiscard]] std::string folder_name(const Package& package);

/// What sys.path gets for the package, inside a sandbox.
[[nodiscard]] std::string folder_in_sandbox(const Package& package);

/// One package of the store.
struct StoredPackage {
  Entry entry;        ///< with the digest in `entry.package`; `metadata` is a path of the host
  std::string wheel;  ///< file name of the wheel it was installed from
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::int64_t installed_at = 0;  ///< Unix time, seconds

  [[nodiscard]] const Package& package() const { return entry.package; }
};

/// A private folder in which one package is put together. Destruction removes it unless it was
/// admitted. Not thread safe; must not outlive the store.
class Staging {
 public:
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&& other) noexcept;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging();

  /// Empty at first. It is to hold what sys.path gets: modules and one *.dist-info.
  [[nodiscard]] std::filesystem::path tree() const { return folder_ / "tree"; }

 private:
  friend class Store;
  explicit Staging(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;  ///< empty when there is nothing to remove
};

/// Packages that stay in the store as long as this lives. May outlive the store. Immutable.
class Pin {
 public:
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  ~Pin();

  /// In the order in which they were asked for, without the platform's.
  [[nodiscard]] std::span<const std::shared_ptr<const StoredPackage>> packages() const {
    return packages_;
  }

 private:
  friend class Store;
  struct Shelf;
  Pin() = default;

  std::shared_ptr<Shelf> shelf_;
  std::vector<std::shared_ptr<const StoredPackage>> packages_;
};

/// Installed packages, each in an immutable folder of its own:
///
///   packages/NAME-VERSION-DIGEST16/   0755: what sys.path gets
///   records/NAME-VERSION-DIGEST16.json   what is known about it, written last and removed first
///   staging/                          0700: work in progress, emptied at open
///
/// A package is in the store when both its folder and its record are there. Admission and removal
/// are atomic and durable: after a crash at any point a package is there whole or not at all.
///
/// Thread safe. find(), list(), pin() and dropping a pin never wait for the disk; the others do, so
/// call them from a worker. Handles (shared_ptr<const StoredPackage>) are mere descriptions: only a
/// pin keeps the files.
class Store {
 public:
  struct Opened {
    std::unique_ptr<Store> store;
    std::vector<std::string> problems;  ///< what was dropped, and why; for the log
  };

  /// Creates what is missing, empties staging/, removes folders without a valid record, records
  /// without a folder, and packages whose files are not as many or as large as recorded. The caller
  /// has the state directory to itself (one store at a time).
  [[nodiscard]] static Result<Opened> open(const std::filesystem::path& folder,
                                           const TreeLimits& limits = {});
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  /// packages/, to be mounted at kPackagesMount.
  [[nodiscard]] std::filesystem::path packages() const { return folder_ / "packages"; }
  [[nodiscard]] const TreeLimits& limits() const { return limits_; }

  /// Null when it is not here; always for a package without a digest.
  [[nodiscard]] std::shared_ptr<const StoredPackage> find(const Package& package) const;
  /// By the wheel's sha256.
  [[nodiscard]] std::shared_ptr<const StoredPackage> find_by_digest(std::string_view digest) const;
  /// Sorted by package.
  [[nodiscard]] std::vector<std::shared_ptr<const StoredPackage>> list() const;

  [[nodiscard]] Result<Staging> begin() const;

  /// Makes what is staged the package that it is `claimed` to be, installed from a wheel file of
  /// that name. When the store has that package already, it stays as it is and is returned, and
  /// what was staged is dropped; so is it when this fails.
  ///
  /// The tree may hold anything but is nobody else's to change. kInvalid, with a message for the
  /// person who deploys: links, special files, set-id files, more than the limits, not exactly one
  /// metadata folder, metadata that cannot be read or is another package's. kConflict when another
  /// wheel's folder has the same name.
  [[nodiscard]] Result<std::shared_ptr<const StoredPackage>> admit(Staging staged,
                                                                   const Package& claimed,
                                                                   std::string_view wheel);

  /// Keeps the packages until the last copy of the pin is gone. kNotFound, naming it, when one with
  /// a digest is not here; packages of the platform need no pin.
  [[nodiscard]] Result<std::shared_ptr<const Pin>> pin(std::span<const Package> packages);

  /// Removes the packages that nothing has pinned for `grace`, and returns them. How long is
  /// counted from the first call that saw it unpinned: call it from time to time, with a monotonic
  /// `now`.
  [[nodiscard]] std::vector<Package> collect(std::chrono::nanoseconds grace,
                                             std::chrono::steady_clock::time_point now);

 private:
  Store(std::filesystem::path folder, const TreeLimits& limits);

  [[nodiscard]] Result<> place(const Staging& staged, const StoredPackage& package) const;
  [[nodiscard]] bool remove(const Package& package) const;
  [[nodiscard]] Result<> discard(const std::filesystem::path& folder) const;
  [[nodiscard]] std::filesystem::path record_of(const Package& package) const;

  const std::filesystem::path folder_;
  const TreeLimits limits_;
  const std::shared_ptr<Pin::Shelf> shelf_;  ///< the packages and who pins them
  std::mutex change_mutex_;                  ///< one admission or removal at a time
};

}  // namespace sock::pkgcache
