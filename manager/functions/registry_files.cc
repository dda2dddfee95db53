#include "manager/functions/registry_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <system_error>

#include "base/file.h"
#include "base/text.h"
#include "base/tree.h"
#include "manager/functions/function_json.h"
#include "manager/functions/function_options.h"

namespace sock::manager {
namespace {

namespace fs = std::filesystem;

std::optional<std::uint64_t> parse_generation(std::string_view name) {
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, number);
  // Only the spelling that commit uses: "7", not "07".
  if (error != std::errc{} || stop != end || number == 0 || name.front() == '0') {
    return std::nullopt;
  }
  return number;
}

Result<std::vector<fs::path>> children(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
    out.push_back(i->path());
  }
  if (error) return fail_errno("list", folder.native(), error.value());
  std::ranges::sort(out);
  return out;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(fs::symlink_status(path, ignored));
}

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

Result<Function> load(const fs::path& generation, std::string_view name, std::uint64_t number) {
  constexpr std::size_t kMaxRecordBytes = 4 << 20;
  const auto text = read_file(AT_FDCWD, (generation / kRecordFile).native(), kMaxRecordBytes);
  if (!text) return std::unexpected(text.error());
  auto function = from_record(*text, generation / "code");
  if (!function) return function;
  if (function->spec.name != name || function->generation != number) {
    return fail(Code::kInvalid, kRecordFile, "it belongs to another function or generation");
  }
  const auto size = measure_tree(function->code);
  if (!size) return std::unexpected(size.error());
  if (size->bytes != function->code_bytes) {
    return fail(Code::kInvalid, "code",
                "the files have " + std::to_string(size->bytes) + " bytes instead of " +
                    std::to_string(function->code_bytes));
  }
  return function;
}

class Recovery {
 public:
  explicit Recovery(const fs::path& state_dir) : state_dir_(state_dir) {}

  Recovered run() {
    for (const fs::path& leftover : list(state_dir_ / "staging")) discard(leftover);
    for (const fs::path& function : list(state_dir_ / "functions")) {
      const std::string name = function.filename().native();
      if (is_function_name(name) && is_folder(function)) {
        recover_function(function, name);
      } else {
        set_aside(function, "unknown", "it is not a function's folder");
      }
    }
    return std::move(out_);
  }

 private:
  void recover_function(const fs::path& folder, const std::string& name) {
    std::optional<Function> current;
    for (const fs::path& generation : list(folder)) {
      const std::string number_text = generation.filename().native();
      const auto number = parse_generation(number_text);
      if (!number || !is_folder(generation)) {
        set_aside(generation, name, "it is not a generation's folder");
        continue;
      }
      if (!present(generation / kRecordFile) && present(generation / kRemovedFile)) {
        discard(generation);
        continue;
      }
      auto function = load(generation, name, *number);
      if (!function) {
        std::string label = name;
        label.append(".").append(number_text);
        set_aside(generation, label, function.error().describe());
        continue;
      }
      if (current && current->generation > *number) {
        discard(generation);
        continue;
      }
      if (current) discard(current->code.parent_path());
      current = std::move(*function);
    }
    if (current) {
      out_.functions.push_back(std::move(*current));
    } else {
      ::rmdir(folder.c_str());
    }
  }

  std::vector<fs::path> list(const fs::path& folder) {
    auto found = children(folder);
    if (found) return std::move(*found);
    report(folder, found.error().describe());
    return {};
  }

  void discard(const fs::path& path) {
    if (auto removed = remove_tree(path); !removed) report(path, removed.error().describe());
  }

  void set_aside(const fs::path& path, const std::string& name, const std::string& why) {
    const fs::path broken = state_dir_ / "broken";
    for (int i = 1; i < 100'000; ++i) {
      const fs::path target = broken / (name + "." + std::to_string(i));
      if (::renameat2(AT_FDCWD, path.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0) {
        return report(path, why + "; moved to " + target.native());
      }
      if (errno != EEXIST) break;
    }
    report(path, why + "; ignored, and it could not be moved to " + broken.native() + ": " +
                     std::generic_category().message(errno));
  }

  void report(const fs::path& path, const std::string& why) {
    out_.problems.push_back(in_quotes(path.lexically_relative(state_dir_).native()) + ": " + why);
  }

  const fs::path& state_dir_;
  Recovered out_;
};

}  // namespace

Result<Fd> lock_state_dir(const fs::path& state_dir) {
  const std::string path = (state_dir / "lock").native();
  auto lock = open_fd(AT_FDCWD, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0644);
  if (!lock) return lock;
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock", path);
    const std::string text = read_file(AT_FDCWD, path, 64).value_or("");
    const std::string pid = text.substr(0, text.find_first_not_of("0123456789"));
    return fail(Code::kConflict, "lock",
                "another sockd (pid " + (pid.empty() ? "unknown" : pid) + ") uses " +
                    state_dir.native() + "; stop it, or choose another state directory");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock->get(), 0) < 0 ||
      ::pwrite(lock->get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno("write", path);
  }
  return lock;
}

Result<std::vector<std::uint64_t>> generations_of(const fs::path& function) {
  std::vector<std::uint64_t> out;
  const auto found = children(function);
  if (!found) {
    if (found.error().sys_errno == ENOENT) return out;
    return std::unexpected(found.error());
  }
  for (const fs::path& child : *found) {
    if (const auto number = parse_generation(child.filename().native())) out.push_back(*number);
  }
  std::ranges::sort(out);
  return out;
}

Result<> mark_removed(const fs::path& generation) {
  const fs::path record = generation / kRecordFile;
  const fs::path removed = generation / kRemovedFile;
  if (std::rename(record.c_str(), removed.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return fail_errno("rename", record.native());
  }
  auto synced = sync_path(generation);
  // What cannot be made durable must not look done either.
  if (!synced && std::rename(removed.c_str(), record.c_str()) != 0) {
    return fail_errno("rename", removed.native());
  }
  return synced;
}

Recovered recover(const fs::path& state_dir) { return Recovery(state_dir).run(); }

}  // namespace sock::manager
