#include "base/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"

namespace sock {
namespace {

// Each level holds a descriptor; nothing that is stored may be deeper ([deploy] depth).
constexpr int kMaxDepth = 300;

// One journal commit a file is dear; above this many, one syncfs is cheaper even though it also
// writes what others left dirty.
constexpr std::uint64_t kSyncOneByOne = 256;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// By descriptors throughout: a path may be longer than PATH_MAX once the state folder is in front.
Result<> walk(Fd fd, int depth, const TreeVisitor& visit) {
  if (depth > kMaxDepth) return fail(Code::kInvalid, "walk", "folders are nested too deeply");
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(fd.get()));
  if (!folder) return fail_errno("walk", "fdopendir");
  const int descriptor = fd.release();  // closedir closes it
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(folder.get());
    if (entry == nullptr && errno != 0) return fail_errno("walk", "readdir");
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status {};
    if (::fstatat(descriptor, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
      return fail_errno("walk", "stat " + in_quotes(name));
    }
    if (S_ISREG(status.st_mode)) {
      if (auto done = visit(descriptor, entry->d_name, status); !done) return done;
      continue;
    }
    if (!S_ISDIR(status.st_mode)) {
      return fail(Code::kInvalid, "walk", in_quotes(name) + " is neither a file nor a folder");
    }
    auto child = open_fd(descriptor, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!child) return std::unexpected(child.error());
    if (auto done = walk(std::move(*child), depth + 1, visit); !done) return done;
  }
  struct stat status {};
  if (::fstat(descriptor, &status) < 0) return fail_errno("walk", "stat");
  return visit(descriptor, ".", status);
}

Result<> sync_one(int folder, const char* name) {
  const auto fd = open_fd(folder, name, O_RDONLY | O_NOFOLLOW);
  if (!fd) return std::unexpected(fd.error());
  if (::fsync(fd->get()) < 0) return fail_errno("fsync", in_quotes(name));
  return {};
}

}  // namespace

Result<> walk_tree(const std::filesystem::path& folder, const TreeVisitor& visit) {
  auto fd = open_fd(AT_FDCWD, folder.native(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return std::unexpected(fd.error());
  return walk(std::move(*fd), 0, visit);
}

Result<TreeSize> measure_tree(const std::filesystem::path& folder) {
  TreeSize size;
  auto walked = walk_tree(folder, [&](int, const char*, const struct stat& status) -> Result<> {
    if (S_ISDIR(status.st_mode)) return {};
    ++size.files;
    size.bytes += static_cast<std::uint64_t>(status.st_size);
    return {};
  });
  if (!walked) return std::unexpected(walked.error());
  return size;
}

Result<> sync_tree(const std::filesystem::path& folder) {
  const auto size = measure_tree(folder);
  if (!size) return std::unexpected(size.error());
  if (size->files <= kSyncOneByOne) {
    return walk_tree(folder, [](int parent, const char* name, const struct stat&) {
      return sync_one(parent, name);
    });
  }
  const auto fd = open_fd(AT_FDCWD, folder.native(), O_RDONLY | O_DIRECTORY);
  if (!fd) return std::unexpected(fd.error());
  if (::syncfs(fd->get()) < 0) return fail_errno("syncfs", folder.native());
  return {};
}

Result<> remove_tree(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::remove_all(folder, error);
  if (error) return fail_errno("remove", folder.native(), error.value());
  return {};
}

}  // namespace sock
