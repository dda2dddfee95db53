#include "pkgcache/store/store.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "pkgcache/store/inspect.h"
#include "pkgcache/store/record.h"
#include "pkgcache/store/recovery.h"

namespace sock::pkgcache {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigestPart = 16;

/// With this very mode, whatever the umask.
Result<> make_folder(const fs::path& folder, unsigned mode) {
  if (::mkdir(folder.c_str(), mode) < 0 && errno != EEXIST) {
    return fail_errno("mkdir", folder.native());
  }
  if (::chmod(folder.c_str(), mode) < 0) return fail_errno("chmod", folder.native());
  return {};
}

Result<fs::path> make_private_folder(const fs::path& parent) {
  std::string pattern = (parent / "package-XXXXXX").native();
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno("mkdtemp", pattern);
  return fs::path(pattern);
}

}  // namespace

std::string folder_name(const Package& package) {
  return package.name + "-" + package.version + "-" + package.digest.substr(0, kDigestPart);
}

std::string folder_in_sandbox(const Package& package) {
  return std::string(kPackagesMount) + "/" + folder_name(package);
}

Staging::Staging(Staging&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}

Staging& Staging::operator=(Staging&& other) noexcept {
  std::swap(folder_, other.folder_);
  return *this;
}

Staging::~Staging() {
  if (folder_.empty()) return;
  // What cannot be removed now is swept at the next start.
  if (const auto removed = remove_tree(folder_); !removed) return;
}

/// What the store holds, shared with the pins.
struct Pin::Shelf {
  struct Slot {
    std::shared_ptr<const StoredPackage> package;
    std::size_t pins = 0;
    std::optional<std::chrono::steady_clock::time_point> idle_since;  ///< unset by each pin
  };

  std::mutex mutex;                                ///< never held across disk accesses
  std::map<std::string, Slot, std::less<>> slots;  ///< by digest, which tells wheels apart

  void add(std::shared_ptr<const StoredPackage> package) {
    const std::scoped_lock lock(mutex);
    std::string digest = package->package().digest;
    slots.insert_or_assign(std::move(digest),
                           Slot{.package = std::move(package), .idle_since = {}});
  }

  /// Null when there is none. Called with the mutex held.
  Slot* find(const Package& package) {
    const auto found = slots.find(package.digest);
    if (found == slots.end() || found->second.package->package() != package) return nullptr;
    return &found->second;
  }

  /// Whether another package has the folder that this one would get.
  bool has_namesake(const Package& package) {
    const std::scoped_lock lock(mutex);
    const std::string prefix = package.digest.substr(0, kDigestPart);
    for (auto i = slots.lower_bound(prefix); i != slots.end() && i->first.starts_with(prefix);
         ++i) {
      const Package& other = i->second.package->package();
      if (other != package && folder_name(other) == folder_name(package)) return true;
    }
    return false;
  }
};

Pin::~Pin() {
  const std::scoped_lock lock(shelf_->mutex);
  for (const auto& package : packages_) --shelf_->slots.at(package->package().digest).pins;
}

Store::Store(fs::path folder, const TreeLimits& limits)
    : folder_(std::move(folder)), limits_(limits), shelf_(std::make_shared<Pin::Shelf>()) {}

Store::~Store() = default;

Result<Store::Opened> Store::open(const fs::path& folder, const TreeLimits& limits) {
  std::error_code error;
  const fs::path root = fs::absolute(folder, error).lexically_normal();
  if (!error) fs::create_directories(root, error);
  if (error) return fail_errno("create", folder.native(), error.value());
  struct Folder {
    const char* name;
    unsigned mode;
  };
  for (const Folder& part :
       {Folder{"", 0755}, {"packages", 0755}, {"records", 0700}, {"staging", 0700}}) {
    if (auto made = make_folder(root / part.name, part.mode); !made) {
      return std::unexpected(made.error());
    }
  }
  Recovered recovered = recover_store(root);
  std::unique_ptr<Store> store(new Store(root, limits));
  for (StoredPackage& package : recovered.packages) {
    store->shelf_->add(std::make_shared<const StoredPackage>(std::move(package)));
  }
  return Opened{std::move(store), std::move(recovered.problems)};
}

std::shared_ptr<const StoredPackage> Store::find(const Package& package) const {
  const std::scoped_lock lock(shelf_->mutex);
  const auto* const slot = shelf_->find(package);
  return slot == nullptr ? nullptr : slot->package;
}

std::shared_ptr<const StoredPackage> Store::find_by_digest(std::string_view digest) const {
  const std::scoped_lock lock(shelf_->mutex);
  const auto found = shelf_->slots.find(digest);
  return found == shelf_->slots.end() ? nullptr : found->second.package;
}

std::vector<std::shared_ptr<const StoredPackage>> Store::list() const {
  std::vector<std::shared_ptr<const StoredPackage>> out;
  {
    const std::scoped_lock lock(shelf_->mutex);
    for (const auto& [digest, slot] : shelf_->slots) out.push_back(slot.package);
  }
  std::ranges::sort(out, {}, [](const auto& each) -> const Package& { return each->package(); });
  return out;
}

Result<Staging> Store::begin() const {
  auto folder = make_private_folder(folder_ / "staging");
  if (!folder) return std::unexpected(folder.error());
  Staging staged(std::move(*folder));
  if (auto made = make_folder(staged.tree(), 0755); !made) return std::unexpected(made.error());
  return staged;
}

Result<std::shared_ptr<const StoredPackage>> Store::admit(Staging staged, const Package& claimed,
                                                          std::string_view wheel) {
  if (auto checked = check_identity(claimed); !checked) return std::unexpected(checked.error());
  if (auto present = find(claimed)) return present;
  auto inspected = inspect_tree(staged.tree(), claimed, limits_);
  if (!inspected) return std::unexpected(inspected.error());
  auto package = std::make_shared<StoredPackage>(std::move(*inspected));
  package->wheel = wheel;
  package->installed_at = std::time(nullptr);
  package->entry.metadata = packages() / folder_name(claimed) / package->entry.metadata.filename();
  // What could not be read back would be lost at the next start.
  if (const auto reread = from_record(to_record(*package), packages()); !reread) {
    return std::unexpected(reread.error());
  }
  if (auto synced = sync_tree(staged.tree()); !synced) return std::unexpected(synced.error());

  const std::scoped_lock changing(change_mutex_);
  if (auto present = find(claimed)) return present;  // somebody was faster
  if (auto placed = place(staged, *package); !placed) return std::unexpected(placed.error());
  shelf_->add(package);
  return package;
}

Result<> Store::place(const Staging& staged, const StoredPackage& package) const {
  const std::string name = folder_name(package.package());
  const fs::path target = packages() / name;
  if (shelf_->has_namesake(package.package())) {
    return fail(Code::kConflict, "package",
                "another wheel of " + package.package().to_string() + " is installed as " + name);
  }
  // Of a removal that failed halfway.
  if (auto discarded = discard(target); !discarded) return discarded;
  if (std::rename(staged.tree().c_str(), target.c_str()) != 0) {
    return fail_errno("rename", target.native());
  }
  auto placed = sync_path(packages());
  if (placed) placed = replace_file(record_of(package.package()), to_record(package), 0600);
  // What cannot be made durable must not look installed either.
  if (!placed && std::rename(target.c_str(), staged.tree().c_str()) != 0) {
    return fail_errno("rename", target.native());
  }
  return placed;
}

Result<std::shared_ptr<const Pin>> Store::pin(std::span<const Package> packages) {
  std::shared_ptr<Pin> pin(new Pin());
  pin->shelf_ = shelf_;
  const std::scoped_lock lock(shelf_->mutex);
  std::vector<Pin::Shelf::Slot*> slots;
  for (const Package& package : packages) {
    if (package.digest.empty()) continue;
    slots.push_back(shelf_->find(package));
    if (slots.back() == nullptr) {
      return fail(Code::kNotFound, "pin", package.to_string() + " is not in the package store");
    }
  }
  for (Pin::Shelf::Slot* const slot : slots) {
    ++slot->pins;
    slot->idle_since.reset();
    pin->packages_.push_back(slot->package);
  }
  return pin;
}

std::vector<Package> Store::collect(std::chrono::nanoseconds grace,
                                    std::chrono::steady_clock::time_point now) {
  const std::scoped_lock changing(change_mutex_);
  std::vector<std::shared_ptr<const StoredPackage>> idle;
  {
    // Gone for everybody from here on: what is pinned later is installed anew.
    const std::scoped_lock lock(shelf_->mutex);
    for (auto i = shelf_->slots.begin(); i != shelf_->slots.end();) {
      Pin::Shelf::Slot& slot = i->second;
      if (slot.pins == 0 && !slot.idle_since) slot.idle_since = now;
      if (slot.pins > 0 || now - *slot.idle_since < grace) {
        ++i;
        continue;
      }
      idle.push_back(slot.package);
      i = shelf_->slots.erase(i);
    }
  }
  std::vector<Package> removed;
  for (const auto& package : idle) {
    if (remove(package->package())) {
      removed.push_back(package->package());
    } else {
      shelf_->add(package);  // still whole on disk, and there again after a restart
    }
  }
  std::ranges::sort(removed);
  return removed;
}

bool Store::remove(const Package& package) const {
  // Not synced: should a crash undo it, the package is simply still there.
  if (::unlink(record_of(package).c_str()) < 0 && errno != ENOENT) return false;
  // A folder that stays behind without a record is out of the store, and discarded in time.
  static_cast<void>(discard(packages() / folder_name(package)));
  return true;
}

Result<> Store::discard(const fs::path& folder) const {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(folder, error))) return {};
  auto grave = make_private_folder(folder_ / "staging");
  if (!grave) return std::unexpected(grave.error());
  // At once, so that a half-deleted package is never seen.
  if (std::rename(folder.c_str(), (*grave / "tree").c_str()) != 0) {
    return fail_errno("rename", folder.native());
  }
  return remove_tree(*grave);
}

fs::path Store::record_of(const Package& package) const {
  return folder_ / "records" / (folder_name(package) + ".json");
}

}  // namespace sock::pkgcache
