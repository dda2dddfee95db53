#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "manager/functions/bundle.h"
#include "manager/functions/function.h"

namespace sock::manager {

class Reclaimer;

/// An unpacked bundle that is no function yet. Destruction removes it unless it was committed.
class StagedFunction {
 public:
  StagedFunction(StagedFunction&& other) noexcept;
  StagedFunction& operator=(StagedFunction&& other) noexcept;
  StagedFunction(const StagedFunction&) = delete;
  StagedFunction& operator=(const StagedFunction&) = delete;
  ~StagedFunction();

  /// Folder of the unpacked files.
  [[nodiscard]] std::filesystem::path code() const { return folder_ / "code"; }
  [[nodiscard]] const BundleInfo& info() const { return info_; }

  /// A top-level file such as "sock.toml", empty when the bundle has none. kInvalid when it is
  /// longer than `limit` bytes or not a file.
  [[nodiscard]] Result<std::optional<std::string>> read_text(const std::string& name,
                                                             std::size_t limit = 256 << 10) const;

 private:
  friend class Registry;
  explicit StagedFunction(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;  ///< empty when there is nothing to remove
  BundleInfo info_;
};

/// The deployed functions of one state directory:
///
///   lock                                  flock(2), held while a registry is open
///   functions/NAME/GENERATION/code/       the files, never changed
///   functions/NAME/GENERATION/function.json   or removed.json once superseded or removed
///   staging/                              work in progress, emptied at open
///   broken/                               what could not be loaded
///
/// A function's highest complete generation is the current one. Deploys and removals are atomic and
/// durable: after a crash at any point the old or the new state is there, never a mixture.
///
/// A handle (shared_ptr<const Function>) keeps its generation's files in place, also after a newer
/// deploy or a removal; they are deleted when the last handle goes. Handles may outlive the
/// registry; what is then still in place is deleted by the next open.
///
/// Thread safe. find() and list() never wait for the disk; the others do, so call them from a
/// worker.
class Registry {
 public:
  struct Opened {
    std::unique_ptr<Registry> registry;
    std::vector<std::string> problems;  ///< entries that were dropped, and why; for the log
  };

  /// Creates what is missing, sweeps leftovers and loads all functions. Damaged entries are moved
  /// to broken/ and reported. kConflict when another process has the directory open.
  [[nodiscard]] static Result<Opened> open(const std::filesystem::path& state_dir,
                                           const BundleLimits& limits);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  /// Unpacks an untrusted bundle (see unpack_bundle for what is refused).
  [[nodiscard]] Result<StagedFunction> prepare(std::string_view bundle,
                                               std::string_view content_type) const;

  /// Makes `staged` the current generation of `spec.name`, whose handles keep `what` alive.
  /// kInvalid for a bad name, handler or environment, or when the handler's module is not among the
  /// files.
  [[nodiscard]] Result<std::shared_ptr<const Function>> commit(
      StagedFunction staged, FunctionSpec spec, std::shared_ptr<const void> what = nullptr);

  /// The same for a generation that was loaded. Ignored for one that is not the current one.
  void keep(const Function& function, std::shared_ptr<const void> what);

  /// The current generation, or null.
  [[nodiscard]] std::shared_ptr<const Function> find(std::string_view name) const;

  /// All functions, by name.
  [[nodiscard]] std::vector<std::shared_ptr<const Function>> list() const;

  /// kNotFound when there is no such function.
  [[nodiscard]] Result<> remove(const std::string& name);

 private:
  struct Entry;

  Registry(std::filesystem::path state_dir, const BundleLimits& limits, Fd lock);

  [[nodiscard]] std::filesystem::path functions() const { return state_dir_ / "functions"; }
  [[nodiscard]] std::filesystem::path staging() const { return state_dir_ / "staging"; }
  [[nodiscard]] Result<> place(const std::filesystem::path& staged,
                               const std::filesystem::path& generation) const;

  const std::filesystem::path state_dir_;
  const BundleLimits limits_;
  const Fd lock_;
  std::shared_ptr<Reclaimer> reclaimer_;
  std::mutex change_mutex_;           ///< one commit or removal at a time, across its disk waits
  mutable std::mutex entries_mutex_;  ///< only around the map
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries_;
};

}  // namespace sock::manager
