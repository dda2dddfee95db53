#include "manager/functions/registry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "manager/functions/function_json.h"
#include "manager/functions/function_options.h"
#include "manager/functions/handler.h"
#include "manager/functions/reclaimer.h"
#include "manager/functions/registry_files.h"
#include "manager/settings/units.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

Result<> make_folder(const fs::path& folder, unsigned mode) {
  if (::mkdir(folder.c_str(), mode) < 0 && errno != EEXIST) {
    return fail_errno("mkdir", folder.native());
  }
  return {};
}

}  // namespace

StagedFunction::StagedFunction(StagedFunction&& other) noexcept
    : folder_(std::exchange(other.folder_, {})), info_(std::move(other.info_)) {}

StagedFunction& StagedFunction::operator=(StagedFunction&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(info_, other.info_);
  return *this;
}

StagedFunction::~StagedFunction() {
  if (folder_.empty()) return;
  // What cannot be removed now is swept at the next start.
  if (const auto removed = remove_tree(folder_); !removed) return;
}

Result<std::optional<std::string>> StagedFunction::read_text(const std::string& name,
                                                             std::size_t limit) const {
  const std::string path = (code() / name).native();
  struct stat status {};
  if (::lstat(path.c_str(), &status) < 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno("read", name);
  }
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalid, "bundle", name + " is not a file");
  if (static_cast<std::uint64_t>(status.st_size) > limit) {
    return fail(Code::kInvalid, "bundle", name + " is longer than " + format_size(limit));
  }
  auto text = read_file(AT_FDCWD, path, limit);
  if (!text) return std::unexpected(text.error());
  return std::move(*text);
}

/// One generation in memory. Its destruction means that the last handle has gone.
struct Registry::Entry {
  Function function;
  std::weak_ptr<Reclaimer> reclaimer;
  std::atomic<bool> retired = false;  ///< superseded or removed
  std::shared_ptr<const void> kept;   ///< see Registry::keep()

  Entry(Function loaded, const std::shared_ptr<Reclaimer>& owner)
      : function(std::move(loaded)), reclaimer(owner) {}
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;
  ~Entry() {
    if (!retired) return;
    if (const auto owner = reclaimer.lock()) owner->add(function.code.parent_path());
  }
};

Registry::Registry(fs::path state_dir, const BundleLimits& limits, Fd lock)
    : state_dir_(std::move(state_dir)),
      limits_(limits),
      lock_(std::move(lock)),
      reclaimer_(std::make_shared<Reclaimer>(staging())) {}

Registry::~Registry() = default;

Result<Registry::Opened> Registry::open(const fs::path& state_dir, const BundleLimits& limits) {
  std::error_code error;
  const fs::path root = fs::absolute(state_dir, error).lexically_normal();
  if (!error) fs::create_directories(root, error);
  if (error) return fail_errno("create", state_dir.native(), error.value());
  auto lock = lock_state_dir(root);
  if (!lock) return std::unexpected(lock.error());
  for (const char* const name : {"functions", "staging", "broken"}) {
    if (auto made = make_folder(root / name, 0700); !made) return std::unexpected(made.error());
  }
  Recovered recovered = recover(root);
  std::unique_ptr<Registry> registry(new Registry(root, limits, std::move(*lock)));
  for (Function& function : recovered.functions) {
    const std::string name = function.spec.name;
    registry->entries_[name] = std::make_shared<Entry>(std::move(function), registry->reclaimer_);
  }
  return Opened{std::move(registry), std::move(recovered.problems)};
}

Result<StagedFunction> Registry::prepare(std::string_view bundle,
                                         std::string_view content_type) const {
  std::string pattern = (staging() / "deploy-XXXXXX").native();
  if (::mkdtemp(pattern.data()) == nullptr) return fail_errno("mkdtemp", pattern);
  StagedFunction staged{fs::path(pattern)};
  if (auto made = make_folder(staged.code(), 0755); !made) return std::unexpected(made.error());
  // mkdir's mode is subject to the umask.
  if (::chmod(staged.code().c_str(), 0755) < 0) return fail_errno("chmod", staged.code().native());
  auto info = unpack_bundle(bundle, content_type, staged.code(), limits_);
  if (!info) return std::unexpected(info.error());
  staged.info_ = std::move(*info);
  return staged;
}

Result<> Registry::place(const fs::path& staged, const fs::path& generation) const {
  const fs::path parent = generation.parent_path();
  for (int attempt = 0;; ++attempt) {
    if (auto made = make_folder(parent, 0700); !made) return made;
    if (std::rename(staged.c_str(), generation.c_str()) == 0) break;
    // The reclaimer removes a function's empty folder, perhaps just now.
    if (errno != ENOENT || attempt == 10) return fail_errno("rename", generation.native());
  }
  auto synced = sync_path(parent);
  if (synced) synced = sync_path(functions());
  // What cannot be made durable must not look deployed either.
  if (!synced && std::rename(generation.c_str(), staged.c_str()) != 0) {
    return fail_errno("rename", generation.native());
  }
  return synced;
}

Result<std::shared_ptr<const Function>> Registry::commit(StagedFunction staged, FunctionSpec spec,
                                                         std::shared_ptr<const void> what) {
  if (auto checked = check_function_name(spec.name); !checked) {
    return std::unexpected(checked.error());
  }
  if (!is_handler(spec.handler)) {
    return fail(Code::kInvalid, "handler",
                in_quotes(spec.handler) + " is not a handler: it must be module.function");
  }
  if (auto checked = check_environment(spec.environment); !checked) {
    return std::unexpected(checked.error());
  }
  if (auto found = require_module(staged.code(), spec.handler); !found) {
    return std::unexpected(found.error());
  }
  if (auto synced = sync_tree(staged.code()); !synced) return std::unexpected(synced.error());

  const std::scoped_lock changing(change_mutex_);
  const fs::path folder = functions() / spec.name;
  // Every generation that a handle still uses is on disk, so no number returns while it matters.
  const auto older = generations_of(folder);
  if (!older) return std::unexpected(older.error());
  Function function;
  function.generation = older->empty() ? 1 : older->back() + 1;
  function.spec = std::move(spec);
  const fs::path generation = folder / std::to_string(function.generation);
  function.code = generation / "code";
  function.code_bytes = staged.info().bytes;
  function.sha256 = staged.info().sha256;
  function.deployed_at = std::time(nullptr);

  const auto record = to_record(function);
  if (!record) return std::unexpected(record.error());
  // A spec with values out of range would be lost at the next start: refuse it now.
  if (const auto reread = from_record(*record, function.code); !reread) {
    return std::unexpected(reread.error());
  }
  // Also makes the staged folder itself durable.
  if (auto written = replace_file(staged.folder_ / kRecordFile, *record, 0600); !written) {
    return std::unexpected(written.error());
  }
  if (auto placed = place(staged.folder_, generation); !placed) {
    return std::unexpected(placed.error());
  }
  staged.folder_.clear();

  auto entry = std::make_shared<Entry>(std::move(function), reclaimer_);
  entry->kept = std::move(what);
  std::shared_ptr<Entry> previous;
  {
    const std::scoped_lock lock(entries_mutex_);
    std::shared_ptr<Entry>& slot = entries_[entry->function.spec.name];
    previous = std::exchange(slot, entry);
  }
  for (const std::uint64_t number : *older) {
    // Not fatal: the new generation is the higher one, and the next start sweeps the rest.
    if (const auto marked = mark_removed(folder / std::to_string(number)); !marked) break;
  }
  if (previous) previous->retired = true;
  return std::shared_ptr<const Function>(entry, &entry->function);
}

void Registry::keep(const Function& function, std::shared_ptr<const void> what) {
  const std::scoped_lock lock(entries_mutex_);
  const auto found = entries_.find(function.spec.name);
  if (found == entries_.end() || found->second->function.generation != function.generation) return;
  found->second->kept = std::move(what);
}

std::shared_ptr<const Function> Registry::find(std::string_view name) const {
  const std::scoped_lock lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return nullptr;
  return {found->second, &found->second->function};
}

std::vector<std::shared_ptr<const Function>> Registry::list() const {
  const std::scoped_lock lock(entries_mutex_);
  std::vector<std::shared_ptr<const Function>> out;
  out.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) out.emplace_back(entry, &entry->function);
  return out;
}

Result<> Registry::remove(const std::string& name) {
  const std::scoped_lock changing(change_mutex_);
  if (!find(name)) {
    return fail(Code::kNotFound, "remove", "there is no function " + in_quotes(name));
  }
  // Ascending: as long as the current one is not marked, nothing has happened, and once it is no
  // older one can come back.
  const fs::path folder = functions() / name;
  const auto generations = generations_of(folder);
  if (!generations) return std::unexpected(generations.error());
  for (const std::uint64_t number : *generations) {
    if (auto marked = mark_removed(folder / std::to_string(number)); !marked) return marked;
  }
  std::shared_ptr<Entry> gone;
  {
    const std::scoped_lock lock(entries_mutex_);
    const auto found = entries_.find(name);
    gone = std::move(found->second);
    entries_.erase(found);
  }
  gone->retired = true;
  return {};
}

}  // namespace sock::manager
